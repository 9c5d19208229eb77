"""Every use of cryptography in Huanshu, as security staff and assessors (GB/T 39786) ask for it.

A use says which symbols of which libraries it calls, and from which modules (``*``: of a package). A test walks the
source and fails when one is called that stands in no use, and when a use is listed that nothing calls. So this list is
what the code does.

``sm`` is the algorithm under profile ``sm``. Where it is not one of the SM algorithms, ``exception`` says why; there
are no others. ``certificate`` is the number of a certificate of the product that computes it: empty means that it is
*not a certified product*, and no use here is one. Clauses are cited from memory of the standard: none is verified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final, Literal, NamedTuple

from huanshu.errors import Text
from huanshu.sealing.suites import Profile, openssl

Primitive = Literal["ae", "mac", "hash", "signature", "kdf", "drbg", "other"]

PYCA: Final = "pyca"
PYTHON: Final = "python"
POSTGRES: Final = "postgresql"
AIRFLOW: Final = "airflow"
DEVICE: Final = "pkcs11"


class Algorithm(NamedTuple):
    """What is computed, and where it is written down."""

    name: str
    standard: str


@dataclass(frozen=True, slots=True)
class Use:
    """One purpose, with one algorithm for each profile (None where the profile has no such use)."""

    id: str
    purpose: Text
    primitive: Primitive
    aes: Algorithm | None
    sm: Algorithm | None
    birth: Text
    store: Text
    rotation: Text
    library: str
    clause: str
    symbols: Sequence[str]
    modules: Sequence[str]
    exception: Text | None = None
    certificate: str = ""
    verified: bool = field(default=False, init=False)

    def algorithm(self, profile: Profile) -> Algorithm:
        """Of a use that ``in_force`` gives for this profile."""
        found = self.aes if profile == "aes" else self.sm
        assert found is not None
        return found


_NONE: Final = Text("no key", "无密钥")
_KEEPER: Final = Text(
    "keeper, on first need, from the operating system's generator",
    "钥匙保管首次需要时由操作系统随机数发生器产生",
)
_WRAPPED: Final = Text(
    "keys.wrapped, wrapped under the root key and its own name", "keys.wrapped，以根密钥及自身名称封装"
)
_EPOCH: Final = Text("a new epoch (policies/keys.yaml)", "更换密钥版本（policies/keys.yaml 的 epoch）")
_TREE: Final = Text(
    "RFC 6962 and C2SP fix SHA-256; outside verifiers and witnesses recompute it",
    "RFC 6962 与 C2SP 规定为 SHA-256，由外部核验方与见证方复算",
)
_BOUND: Final = Text(
    "what the tree's entries bind, recomputed by the outside verifier and by sha256sum",
    "由日志树条目所绑定，须由外部核验程序与 sha256sum 复算",
)
_NOTES: Final = Text(
    "C2SP signed-note knows Ed25519; the library in use has no SM2 signature",
    "C2SP signed-note 使用 Ed25519；所用密码库不提供 SM2 签名",
)
_MACHINE: Final = Text("the machine's and its peers' to offer", "由操作系统及对端提供")
_SEALING: Final = "huanshu.sealing."

_AES_SIV: Final = Algorithm("AES-256-SIV", "RFC 5297; FIPS 197")
_SM4_CCM: Final = Algorithm("SM4-CCM", "RFC 8998; GB/T 32907; GB/T 36624")
_AES_CMAC: Final = Algorithm("AES-256-CMAC", "RFC 4493; FIPS 197")
_SM4_CMAC: Final = Algorithm("SM4-CMAC", "GB/T 15852.1; GB/T 32907")
_SM3: Final = Algorithm("SM3", "GB/T 32905")
_SCRYPT: Final = Algorithm("scrypt + AES-256-SIV", "RFC 7914; RFC 5297")
_TREE_HASH: Final = Algorithm("SHA-256", "RFC 6962; FIPS 180-4")
_SHA256: Final = Algorithm("SHA-256", "FIPS 180-4")
_ED25519: Final = Algorithm("Ed25519", "RFC 8032; C2SP signed-note")
_COSIGNED: Final = Algorithm("Ed25519", "C2SP tlog-cosignature; RFC 8032")
_SYSTEM: Final = Algorithm("the operating system's generator", "getrandom(2)")
_SCRAM: Final = Algorithm("SCRAM-SHA-256", "RFC 7677")
_TLS: Final = Algorithm("TLS 1.2+", "RFC 8446")
_AES_GCM: Final = Algorithm("AES-256-GCM", "NIST SP 800-38D; PKCS#11 2.40")
_FERNET: Final = Algorithm("Fernet; HS512", "RFC 7519")

USES: Final[tuple[Use, ...]] = (
    Use(
        "field.seal",
        Text(
            "field values, quarantined rows and subject bitmaps at rest; wrapping of keys",
            "字段值、隔离记录、主体位图的存储加密；密钥封装",
        ),
        "ae", _AES_SIV, _SM4_CCM,
        _KEEPER, _WRAPPED, _EPOCH, PYCA, "8.4 e) g)",
        ("cryptography.AESSIV", "cryptography.AES", "cryptography.SM4", "cryptography.Cipher", "cryptography.ECB",
         "cryptography.CBC", "cryptography.CTR", "cryptography.CMAC", "hmac.compare_digest"),
        (_SEALING + "suites", _SEALING + "blocks", _SEALING + "ccm", _SEALING + "ccm_rows"),
    ),
    Use(
        "root.key",
        Text("root key: wraps all other keys", "根密钥：封装其他全部密钥"),
        "ae", _AES_SIV, _SM4_CCM,
        Text("first start, from the operating system's generator", "首次启动时由操作系统随机数发生器产生"),
        Text(
            "keeper/root.key, mode 0600, the keeper's own account",
            "keeper/root.key，权限 0600，归钥匙保管专用账户",
        ),
        Text("a new deployment", "新建部署"), PYCA, "8.4 e) g)",
        ("secrets.token_bytes",), (_SEALING + "suites",),
    ),
    Use(
        "root.device",
        Text("root key in a device: wraps all other keys", "密码设备中的根密钥：封装其他全部密钥"),
        "ae", _AES_GCM, None,
        Text("first start, in the device, by its own generator", "首次启动时在设备内产生"),
        Text(
            "the device, not extractable; its PIN in a file of the keeper's, mode 0600",
            "密码设备内，不可导出；PIN 码存于钥匙保管专用文件，权限 0600",
        ),
        Text("a new deployment", "新建部署"), DEVICE, "8.4 e) g)",
        ("pkcs11.lib", "pkcs11.Session", "pkcs11.Attribute", "pkcs11.GCMParams", "pkcs11.KeyType", "pkcs11.Mechanism",
         "pkcs11.ObjectClass", "secrets.token_bytes"),
        (_SEALING + "device",),
    ),
    Use(
        "identifier.link",
        Text(
            "links of identifiers, purpose tokens, marks of contents and workbooks",
            "标识关联值、用途令牌、内容与工作簿校验值",
        ),
        "mac", _AES_CMAC, _SM4_CMAC,
        _KEEPER, _WRAPPED,
        Text("tokens end with their purpose; links with the deployment", "令牌随用途终止；关联值随部署终止"),
        PYCA, "8.4 g)",
        ("cryptography.CMAC", "cryptography.Cipher", "cryptography.ECB", "hmac.compare_digest"),
        (_SEALING + "links", _SEALING + "blocks", "huanshu.keeper.*"),
    ),
    Use(
        "context.hash",
        Text("what a sealed value is bound to, shortened", "密文绑定上下文的杂凑"),
        "hash", None, _SM3,  _NONE, _NONE, _NONE, PYCA, "8.4 g)",
        ("cryptography.SM3", "cryptography.Hash"), (_SEALING + "ccm",),
    ),
    Use(
        "backup.escrow",
        Text("root key and log key in a backup, under a passphrase", "备份中的根密钥与日志密钥，以口令保护"),
        "kdf", _SCRYPT, _SCRYPT,
        Text("derived from a passphrase and a random salt", "由口令与随机盐派生"),
        Text("nowhere; the passphrase is on paper", "不存储；口令写在纸上"),
        Text("a new backup", "重新备份"), PYCA, "8.4 e)",
        ("cryptography.Scrypt", "cryptography.AESSIV", "os.urandom"), (_SEALING + "escrow",),
        Text(
            "no SM standard has a memory-hard derivation; opened outside of the deployment, with the passphrase only",
            "国密标准中没有抗硬件破解的口令派生算法；仅在部署之外凭口令打开",
        ),
    ),
    Use(
        "log.tree",
        Text("the transparency log's tree and its proofs", "透明日志的杂凑树与证明"),
        "hash", _TREE_HASH, _TREE_HASH,
        _NONE, _NONE, _NONE, PYTHON, "8.4 g) h)",
        ("hashlib.sha256",),
        ("huanshu.tlog.tree", "huanshu.tlog.notes", "huanshu_verify.merkle", "huanshu_verify.notes",
         "huanshu_witness.merkle", "huanshu_witness.notes"),
        _TREE,
    ),
    Use(
        "log.bound",
        Text(
            "digests of rows, files, bundles, bitmaps and reports that entries bind, and names of files",
            "日志条目绑定的行、文件、策略包、位图、报告摘要，以及文件名",
        ),
        "hash", _SHA256, _SHA256,
        _NONE, _NONE, _NONE, PYTHON, "8.4 b) g) h)",
        ("hashlib.sha256", "hashlib.file_digest", "sql.sha256"),
        (
            "huanshu.assembly.*", "huanshu.auditlog.*", "huanshu.canonical", "huanshu.catalog.*", "huanshu.exchange.*",
            "huanshu.keeper.*", "huanshu.report.*", "huanshu.store.*", "huanshu_verify.*", "huanshu_witness.*",
        ),
        _BOUND,
    ),
    Use(
        "log.signature",
        Text(
            "checkpoints of the log; signed manifests and corrections of departments and communities",
            "日志检查点签名；部门清单与社区更正的签名",
        ),
        "signature", _ED25519, _ED25519,
        Text("first start; a department makes its own", "首次启动时产生；部门自行产生"),
        Text(
            "keeper/log.key, mode 0600; public keys in policies/systems.csv",
            "keeper/log.key，权限 0600；公钥在 policies/systems.csv",
        ),
        Text(
            "a new log origin; a new line of systems.csv",
            "更换日志来源；systems.csv 新增一行",
        ), PYCA, "8.4 g) h)",
        ("cryptography.Ed25519PrivateKey", "cryptography.Ed25519PublicKey", "cryptography.Encoding",
         "cryptography.NoEncryption", "cryptography.PrivateFormat", "cryptography.PublicFormat",
         "cryptography.load_pem_private_key"),
        ("huanshu.auditlog.signing", "huanshu_verify.notes", "huanshu_verify.policy"),
        _NOTES,
    ),
    Use(
        "witness.cosignature",
        Text("a witness's word for a checkpoint", "见证方对检查点的联署"),
        "signature", _COSIGNED, _COSIGNED,
        Text("the witness's first start", "见证方首次启动时产生"),
        Text("the witness's own folder, mode 0600", "见证方自己的文件夹，权限 0600"),
        Text("a new witness name", "更换见证方名称"), PYCA, "8.4 h)",
        ("cryptography.Ed25519PrivateKey", "cryptography.Ed25519PublicKey", "cryptography.Encoding",
         "cryptography.NoEncryption", "cryptography.PrivateFormat", "cryptography.load_pem_private_key"),
        ("huanshu_witness.notes", "huanshu_witness.state"), _NOTES,
    ),
    Use(
        "randomness",
        Text(
            "random bytes for keys, salts, passwords and one-time numbers",
            "密钥、盐、口令、一次性数的随机字节",
        ),
        "drbg", _SYSTEM, _SYSTEM,
         _NONE, _NONE, _NONE, PYTHON, "",
        ("secrets.token_bytes", "secrets.token_hex", "secrets.token_urlsafe", "os.urandom", "uuid.uuid4"),
        (
            _SEALING + "*", "huanshu.assembly.*", "huanshu.auditlog.*", "huanshu.cli.*", "huanshu.exchange.*",
            "huanshu.keeper.*", "huanshu.store.*",
        ),
        Text(
            "a certified generator is the machine's to offer",
            "经检测认证的随机数发生器须由操作系统或硬件提供",
        ),
    ),
    Use(
        "database.password",
        Text("database accounts prove themselves", "数据库账户鉴别"),
        "other", _SCRAM, _SCRAM,
        Text("first start, one a role", "首次启动时每个角色一个"),
        Text("deployment.json, mode 0600", "deployment.json，权限 0600"),
        Text("by the database's administrator", "由数据库管理员更换"), POSTGRES, "8.4 a)",
        ("secrets.token_urlsafe",), ("huanshu.store.embedded", "huanshu.store.roles"), _MACHINE,
    ),
    Use(
        "transport",
        Text(
            "connections to databases elsewhere, witnesses, collectors of traces",
            "与外部数据库、见证方、链路追踪收集器的连接",
        ),
        "other", _TLS, _TLS,
        Text("by the machine's operator", "由运维人员签发"),
        Text("certificates of the machine", "操作系统证书库"),
        Text("with the certificates", "随证书更换"), PYTHON, "8.2 b) c); 8.4 d) f)",
        ("ssl.create_default_context", "ssl.SSLContext", "ssl.PROTOCOL_TLS_SERVER", "ssl.TLSVersion"),
        ("huanshu.auditlog.*", "huanshu_witness.*"), _MACHINE,
    ),
    Use(
        "airflow.secrets",
        Text(
            "Airflow's own sessions and connection settings; no resident's value",
            "Airflow 自身的会话与连接配置，不含居民数据",
        ),
        "other", _FERNET, _FERNET,
        Text("first start", "首次启动时产生"),
        Text("airflow/secrets.json, mode 0600", "airflow/secrets.json，权限 0600"),
        Text("delete the file and start again", "删除该文件后重新启动"), AIRFLOW, "8.4 a)",
        ("secrets.token_bytes", "secrets.token_urlsafe"), ("huanshu.assembly.airflow_service",),
        Text(
            "Airflow's own choice, over nothing that this platform seals",
            "由 Airflow 自行选定，不涉及本平台密封的数据",
        ),
    ),
    Use(
        "rehearsal",
        Text(
            "digests in drills and in the synthetic district; run ids of a range",
            "演练与模拟区域中的摘要与编号",
        ),
        "hash", _SHA256, _SHA256,  _NONE, _NONE, _NONE, PYTHON, "",
        ("hashlib.sha256", "hashlib.file_digest", "uuid.uuid4", "sql.sha256", "secrets.token_hex", "os.urandom"),
        ("huanshu.drill.*", "huanshu.simulator.*", "huanshu.assembly.sandbox"),
        Text("made-up data only", "仅用于虚构数据"),
    ),
)  # fmt: skip


def library_version(library: str) -> str:
    """The library as it is installed here."""
    if library == PYCA:
        return f"cryptography {version('cryptography')} ({openssl()})"
    return {
        PYTHON: "Python hashlib, secrets, ssl",
        POSTGRES: "PostgreSQL",
        AIRFLOW: "Apache Airflow",
        DEVICE: "the device's PKCS#11 module, by python-pkcs11",
    }[library]


def in_force(profile: Profile, provider: Literal["file", "pkcs11"] = "file") -> list[Use]:
    """The uses of a deployment of this profile whose root key lies there."""
    elsewhere = "root.device" if provider == "file" else "root.key"
    return [
        use for use in USES if (use.aes if profile == "aes" else use.sm) is not None and use.id != elsewhere
    ]
