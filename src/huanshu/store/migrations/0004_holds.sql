-- Holds and quarantine: which runs were found within their bounds, and what became of rows that failed a rule.
--
-- Trust: whoever can change these tables can make a run skip its judgement or hide an open row. Holds, releases and recalls
-- themselves are entries of the log and obeyed by the keeper, which also checks by itself what it can know.

-- A run is judged once, as a whole, before any of its deliveries; its other tasks find the judgement here.
CREATE TABLE district.run_judged (
    flow      text   NOT NULL,
    run       text   NOT NULL,
    digest    text   NOT NULL,                                -- of the flow file it was judged by
    batch     bigint NOT NULL,                                -- newest batch of the dataset then: other content is judged anew
    judged_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (flow, run)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON district.run_judged TO huanshu_app;
