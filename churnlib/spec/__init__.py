"""The spec: everything about one model that a data scientist decides, as TOML in `models/<name>.toml`."""

from churnlib.spec.loading import load_spec, parse_spec
from churnlib.spec.model import Spec
from churnlib.spec.names import AS_OF, ID, KNOWN_AT, LABEL, RESERVED
from churnlib.spec.policies import (
    ApprovalPolicy,
    CampaignPolicy,
    ChallengerPolicy,
    DriftPolicy,
    PromotionPolicy,
    RetrainingPolicy,
    VariantsPolicy,
)
from churnlib.spec.sections import (
    Columns,
    Feature,
    Input,
    Reasons,
    Section,
    Training,
)

__all__ = [
    "AS_OF",
    "ID",
    "KNOWN_AT",
    "LABEL",
    "RESERVED",
    "ApprovalPolicy",
    "CampaignPolicy",
    "ChallengerPolicy",
    "Columns",
    "DriftPolicy",
    "Feature",
    "Input",
    "PromotionPolicy",
    "Reasons",
    "RetrainingPolicy",
    "Section",
    "Spec",
    "Training",
    "VariantsPolicy",
    "load_spec",
    "parse_spec",
]
