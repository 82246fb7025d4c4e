"""Which texts of an operator are templates, which name files, and which are data that nobody reads as either."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from airflow.providers.common.compat.sdk import BaseOperator, XComArg, XComNotFound

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.tasks.failures import airflow_failures

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context


class DataOperator(BaseOperator):
    """An operator that is given data beside settings.

    Airflow takes every text in every field for a template, and for a file if it ends in one of `template_ext`: so the
    value `there.sql` of a row became the content of a file of the DAGs' folder. Here only the field `sql` names files,
    and rows in the fields of `row_fields` are left as they are: in a row `{{` is what a customer is called.
    """

    row_fields: tuple[str, ...] = ("source",)
    sql: str | None = None

    def resolve_template_files(self) -> None:
        """Load the file that `sql` names, when the DAG is parsed; where it is not there yet, the task will say so."""
        from jinja2 import TemplateNotFound

        if name := self._sql_file():
            env = self.get_template_env()
            try:
                self.sql = env.loader.get_source(env, name)[0] if env.loader else name
            except TemplateNotFound:
                self.log.warning("sql %r is not there; %s", name, _searched(env))
        self.prepare_template()

    def render_template(
        self,
        content: Any,
        context: "Context",
        jinja_env: "jinja2.Environment | None" = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render as Airflow does, but take no text for the name of a file."""
        if self._looks_like_file(content):
            env = jinja_env or self.get_template_env()
            return self._render(env.from_string(content), context)
        return super().render_template(content, context, jinja_env, seen_oids)

    # The one method that Airflow calls for mapped tasks and for others alike.
    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: "Context",
        jinja_env: "jinja2.Environment",
        seen_oids: set[int],
    ) -> None:
        fields = list(template_fields)
        if parent is self:
            # What other tasks returned is no template: Airflow knows such values by their ids.
            own = [name for name in fields if id(getattr(self, name)) not in seen_oids]
            done = {name for name in own if self._render_own(name, context, jinja_env)}
            fields = [name for name in fields if name not in done]
        super()._do_render_template_fields(parent, fields, context, jinja_env, seen_oids)

    def _render_own(self, name: str, context: "Context", jinja_env: "jinja2.Environment") -> bool:
        """Render a field that Airflow would render wrongly; whether it was one."""
        if name == "sql" and (file := self._sql_file()):
            self.sql = self._render(_template(jinja_env, file), context)
            return True
        value = getattr(self, name)
        if name not in self.row_fields or not _has_rows(value):
            return False
        setattr(self, name, [self._row_or_text(one, context, jinja_env) for one in value])
        return True

    def _row_or_text(self, one: Any, context: "Context", jinja_env: "jinja2.Environment") -> Any:
        return _resolved(one, context) if isinstance(one, Mapping) else self.render_template(one, context, jinja_env)

    def _sql_file(self) -> str | None:
        sql = getattr(self, "sql", None)
        return sql if self._looks_like_file(sql) else None

    def _looks_like_file(self, value: Any) -> TypeGuard[str]:
        """Whether Airflow would take it for the name of a file."""
        return isinstance(value, str) and value.endswith(tuple(self.template_ext))


class ToldOperator(BaseOperator):
    """An operator that is given what others tell of a load, in its `told_fields`; None from those that have not run, or
    did not come so far. Airflow fails a task whose field names an XCom that is not there, unless it is a result."""

    told_fields: tuple[str, ...] = ()

    def render_template(
        self,
        content: Any,
        context: "Context",
        jinja_env: "jinja2.Environment | None" = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render as Airflow does; what nobody has told is None."""
        try:
            return super().render_template(content, context, jinja_env, seen_oids)
        except XComNotFound:
            if any(content is getattr(self, name) for name in self.told_fields):
                return None
            raise


def _has_rows(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value)


def _resolved(value: Any, context: "Context") -> Any:
    """A row or a value in it as it is, with the results of other tasks that it names."""
    if isinstance(value, Mapping):
        return {name: _resolved(one, context) for name, one in value.items()}
    if isinstance(value, list):
        return [_resolved(one, context) for one in value]
    return value.resolve(context) if isinstance(value, XComArg) else value


def _template(env: "jinja2.Environment", name: str) -> "jinja2.Template":
    from jinja2 import TemplateNotFound

    try:
        return env.get_template(name)
    except TemplateNotFound as error:
        with airflow_failures():
            raise SettingsError(f"sql {name!r}: the file {str(error.name)!r} is not there; {_searched(env)}") from None


def _searched(env: "jinja2.Environment") -> str:
    """Where files of templates are looked for."""
    folders = [str(one) for one in getattr(env.loader, "searchpath", ())]
    return f"looked in {', '.join(folders) or 'no folder'}: name it from there, or add to the DAG's template_searchpath"
