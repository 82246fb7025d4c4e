"""Template fields that are checked twice: literals when the DAG is parsed, rendered values when the task runs."""

from collections.abc import Mapping
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from optimove_provider.kinds import Fields, Kind
from optimove_provider.options import Group
from optimove_provider.tasks.failures import airflow_failures


class CheckedOperator(BaseOperator):
    """An operator that says in `checked` what some of its template fields may be."""

    checked: ClassVar[Mapping[str, Kind | Fields | type[Group]]] = {}
    _stated: Mapping[str, Any]

    def check_literals(self) -> None:
        """Last in `__init__`: check what is known by now, and keep it in its plain form. Raises SettingsError."""
        self._keep({name: field.literal(name, getattr(self, name)) for name, field in self.checked.items()})

    def read_rendered(self) -> None:
        """First in a worker: take the rendered texts for what they mean. Raises AirflowFailException."""
        with airflow_failures():
            self._keep(
                {
                    name: field.rendered(name, getattr(self, name), self._stated[name])
                    for name, field in self.checked.items()
                }
            )

    def check_together(self) -> None:
        """Raise SettingsError for fields that contradict each other; what is a template still may be anything."""

    def _keep(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            setattr(self, name, value)
        self._stated = values
        self.check_together()
