"""What the graphs of LASeR share: the parameters of the bandit and its arms."""

from pydantic import Field, field_validator

from symposia.nodes.arm_scorer import JUDGE_ARM
from symposia.nodes.prompts import SOLVE
from symposia.state.base import BaseParams, Sampling
from symposia.tools.bandits import Kind


class ArmParams(BaseParams):
    """Parameters of the bandit."""

    bandit: str = Field("", description="name of the bandit in the store; empty: one that the arms and these settings name")
    bandit_kind: Kind = Field("linucb", description="how the arm is chosen; exp3 ignores the question, the last three learn nothing")
    rubrics: list[str] = Field([], description="what judges look at: correctness, reasoning, instructions, style, or own words")
    dimension: int = Field(64, ge=1, le=4096, description="numbers of a context; longer embeddings are projected (ours)")
    alpha: float = Field(0.1, ge=0, description="LinUCB's trust in what it does not know; 0.1 in the authors' code")
    gamma: float = Field(0.1, gt=0, le=1, description="share of Exp3's choices that is spread evenly (ours)")
    warm_up: int | None = Field(None, ge=0, description="first choices of each arm, in turn; None: 2 with linucb, else 0 (ours)")
    fixed_arm: int = Field(0, ge=0, description="the arm of the kind fixed, from 0")
    prompts: dict[str, str] = Field({"solver": SOLVE, "reward": JUDGE_ARM}, description="templates by role")
    sampling: dict[str, Sampling] = Field(
        {"solver": Sampling(temperature=0.8, max_tokens=512), "reward": Sampling(temperature=0)},
        description="sampling by role; 0.8 in the authors' code, the rest ours",
    )

    @field_validator("rubrics")
    @classmethod
    def _rubrics(cls, rubrics: list[str]) -> list[str]:
        """None is empty."""
        if not all(rubric.strip() for rubric in rubrics):
            raise ValueError("a rubric is empty")
        return rubrics
