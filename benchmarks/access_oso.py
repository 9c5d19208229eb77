"""oso over the same rules, in an environment of its own: it wants libraries that ours no longer has.

Reads ``{"rules": […], "questions": […]}`` on standard input — a rule is the tokens of Casbin's policy line, a question
those of its request with the words of field and reach that include it — and prints ``{"load_s", "us", "allowed"}``.
Polar knows no priorities: an allow is one unless a deny speaks too. The rules are facts for Polar to unify with.
"""

import json
import sys
import time

from oso import Oso

POLICY = """
allow(q, "read", _) if
    may(q, "allow") and not may(q, "deny");
may(q, effect) if
    g = q.groups and fields in g and reach in q.reaching and role in q.roles and
    rule(q.dataset, q.purpose, q.kind, role, fields, reach, action, since, until, effect) and
    since <= q.on and q.on <= until and
    serves(effect, action, q.rung);
serves("allow", action, rung) if rung <= action;
serves("deny", action, rung) if rung >= action;
"""
LADDER = {"count": 1, "match": 2, "mask": 3, "reveal": 4, "propose": 10}


class Question:
    """What Polar is asked about."""

    def __init__(self, tokens, groups, reaching):
        self.post, self.home, self.kind, self.domain, self.dataset, self.field, self.purpose, action, on = (
            tokens
        )
        self.rung, self.on = LADDER[action], int(on.replace("-", ""))
        self.roles = [self.post.rsplit(".", 1)[1]]
        self.groups, self.reaching = groups, reaching


def fact(rule):
    _, role, reach, dataset, field, purpose, action, since, until, effect, kind = rule
    words = ", ".join(f'"{word}"' for word in (dataset, purpose, kind, role, field, reach))
    days = f"{since.replace('-', '')}, {until.replace('-', '')}"
    return f'rule({words}, {LADDER[action]}, {days}, "{effect}");'


def main():
    given = json.load(sys.stdin)
    oso = Oso()
    oso.register_class(Question)
    began = time.process_time()
    oso.load_str(POLICY + "\n".join(map(fact, given["rules"])))
    load = time.process_time() - began
    spent, allowed = [], []
    for tokens, groups, reaching in given["questions"]:
        question = Question(tokens, groups, reaching)
        began = time.thread_time_ns()
        answer = oso.is_allowed(question, "read", "field")
        spent.append((time.thread_time_ns() - began) / 1_000)
        allowed.append(answer)
    json.dump({"load_s": load, "us": spent, "allowed": allowed}, sys.stdout)


if __name__ == "__main__":
    main()
