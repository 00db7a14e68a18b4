"""The code of a registered model: MLflow copies this file beside the release and runs it to serve it.

It has no rules of its own: rows take the way of a batch (`churnlib.modelling.scoring.serve`). Nothing
imports it, and it works when it is loaded, because that is how MLflow's "models from code" are.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import polars as pl
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from churnlib.errors import ChurnError
from churnlib.modelling.release import Release, load_release
from churnlib.modelling.scoring import serve


class ReleaseModel(PythonModel):
    """A release that answers for single rows."""

    _release: Release

    def load_context(self, context: PythonModelContext) -> None:
        """Load and verify the release; raises ReleaseCorrupt, so that a damaged model never answers."""
        self._release = load_release(Path(context.artifacts["release"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, object] | None = None,
    ) -> pd.DataFrame:
        """Score delivered rows: `probability` and `margin`, one row for each row, in its order.

        Rows that say no `as_of` are taken as they stand today.

        Raises:
            MlflowException: a required column is absent, or values are not of their column's type;
                a server answers it as a bad request.
        """
        # a request has no delivery date, and MLflow calls with no clock of ours
        today = datetime.now(UTC).date()  # noqa: TID251
        try:
            return serve(self._release, _rows(model_input), today).to_pandas()
        except ChurnError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


def _rows(frame: pd.DataFrame) -> pl.DataFrame:
    """Columns with texts and numbers mixed become text, as in a delivered file: polars refuses them."""
    kinds = {name: pd.api.types.infer_dtype(frame[name], skipna=True) for name in frame.columns}
    mixed = [name for name, kind in kinds.items() if kind.startswith("mixed")]
    return pl.from_pandas(frame.astype(dict.fromkeys(mixed, "string")))


set_model(ReleaseModel())
