"""What the vendors leave open: one switch for each guess, with the guess beside it. No I/O here."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from optimove_provider.contract.cells.datatypes import MAX_IMPORT_BYTES

DoubtfulSuccess = Literal[
    "none",
    "html",
    "html_202",
    "html_unnamed",
    "text_201",
    "success_false",
    "ok_false",
    "status_error",
    "errors",
    "errors_true",
    "failed",
    "rejected",
    "byte_order_mark",
    "203",
    "205",
    "206",
    "207",
    "226",
]

S3Permissions = Literal[
    "all", "get_put_only", "no_create", "no_part", "no_complete", "no_abort", "no_head", "no_look", "no_if_none_match"
]
OddHead = Literal["answered", "InvalidRequest", "NoSuchKey", "ConditionalRequestConflict", "UnprocessableEntity"]
OddCondition = Literal[
    "kept",
    "InvalidRequest",
    "ConditionalRequestConflict",
    "PreconditionFailed",
    "ExpectationFailed",
    "UnprocessableEntity",
    "PreconditionRequired",
    "InternalError",
]
TableKeys = Literal["both", "null", "empty", "access_key_only"]
PathForm = Literal["ids", "opaque", "slashes", "null"]


@dataclass(frozen=True)
class OptixSwitches:
    """Opti-X Data Connections. Nothing of this is documented unless the comment says so."""

    # The status of a connection that was created. Guess: as a POST that creates usually answers.
    create_status: Literal[200, 201] = 201
    # What the answer calls the uuid. Guess: "uuid", one, as the walkthrough shows it. The others say nothing that could
    # be used, although the connection is there.
    created_uuid: Literal["uuid", "null", "missing", "number", "no_uuid"] = "uuid"
    # The status of an upload or update that was accepted. The walkthrough's script counts 200 alone as success; nothing
    # is said of updates. Guess: 200 for both. 204 has no body.
    success_status: Literal[200, 201, 202, 204] = 200
    # The body of an upload or update that was accepted. Guess: `{"success": true}`, as the sibling Sports API
    # answers, and the batch (which may be the server's own; an update has none). "success" leaves the batch out.
    success_body: Literal["empty", "success", "batch"] = "batch"
    # The form of an error. Guess: "main", that of the vendor's main API (status, error, message). "detail" is that of
    # a web framework which the Gaming API seems to use, "x" that of an unofficial page, "text" the bare words, "empty"
    # says nothing.
    error_envelope: Literal["main", "detail", "x", "text", "empty"] = "main"
    # Fields of a wrong type: documented is 400 for "bad format" in general. Guess: here too, not 422.
    schema_status: Literal[400, 422] = 400
    # A uuid that belongs to no connection. Guess: as for any resource that does not exist.
    unknown_uuid_status: Literal[400, 404] = 404
    # A right API key with a wrong or missing brand key. Guess: as for a wrong API key.
    wrong_brand_status: Literal[401, 403, 404] = 401
    # Whether the keys 1 and "1" are one record. Guess: "typed", they are two. The samples use both kinds, on one
    # connection.
    key_identity: Literal["typed", "text"] = "typed"
    # A field that is null. Guess: it is stored as null. "absent": the field is left out; "refuse": the record is bad.
    null_values: Literal["stored", "absent", "refuse"] = "stored"
    # A field that is an object or a list. Guess: stored as it is, as any JSON. "refuse": the record is bad.
    nested_values: Literal["stored", "refuse"] = "stored"
    # The same key twice. Guess: the last one counts. "refuse_in_request": 400 when one request has it twice;
    # "refuse_in_batch": also when an earlier request of the open batch has it, so that a repeated slice is refused.
    duplicate_keys: Literal["last_wins", "refuse_in_request", "refuse_in_batch"] = "last_wins"
    # Whether a record stays visible while its replacement waits in an open batch. Guess: it does.
    old_rows_stay: bool = True
    # Another request with the uuid of a completed batch. Guess: accepted, as if the batch were new, so that a closing
    # request, sent again because its answer was lost, does no harm.
    completed_batch: Literal["accept", "refuse"] = "accept"
    # After so many seconds the rows of an open batch are forgotten, and a later request starts it anew. Guess: 0, it
    # waits for ever.
    open_batch_seconds: float = 0.0
    # How long until a query finds what was accepted. Guess: at once. The sibling Gaming API works later.
    visible_after_seconds: float = 0.0
    # An update of a key that is not there. Guess: it is inserted, as by an upload. "404" refuses the request.
    absent_key: Literal["upsert", "404", "ignore"] = "upsert"
    # Items in one update, 0 for no limit. Guess: as documented for uploads.
    update_limit: int = 5000
    # A time to live of 0. Guess: refused. "expire": the record is stored and expires at once.
    zero_ttl: Literal["refuse", "expire"] = "refuse"
    # A longer time to live is refused, 0 for no limit. Guess: none.
    max_ttl_seconds: int = 0
    # When a time to live begins: with the request, or when its batch is completed. Guess: with the request.
    ttl_starts: Literal["request", "completion"] = "request"
    # Requests in any 10 seconds before 429, 0 for no limit. Guess: none. The main API documents 50.
    requests_per_10s: int = 0
    # Its status. Guess: as the main API documents.
    rate_limit_status: Literal[429, 503] = 429
    # A longer body is refused, 0 for no limit. Guess: none.
    max_body_bytes: int = 0
    # The status for it. Guess: the one that HTTP has for it.
    too_large_status: Literal[413, 400] = 413
    # One bad record. Guess: "request", it refuses the whole request, as the Sports API validates. "record": the
    # others are stored, and the answer is 400 all the same.
    bad_record: Literal["request", "record"] = "request"
    # A record is bad if one of its strings contains this text. Empty: none is. For tests: no vendor has it.
    poison: str = ""
    # Whether the refusal of such a record says which one it is. Guess: by its index.
    poison_named: Literal["index", "none"] = "index"


@dataclass(frozen=True)
class DcpSwitches:
    """Dynamic Customer Profiles, and the importer behind S3."""

    # What the body of a refusal is. Guess: "json", an object with `message` and `uuid`, which a third-party client
    # reads. "text": the bare words.
    dcp_error_body: Literal["json", "text", "empty"] = "json"
    # Requests in any minute before 429, 0 for no limit: the vendor publishes none, and says to wait 60 seconds after
    # it. Guess: none.
    dcp_requests_per_minute: int = 0
    # Whether a new service brings the Optimizely table: the text of 2016 says so, the one of 2020 is silent. Guess: it
    # does.
    optimizely_table: Literal["created", "absent"] = "created"
    # How long an import takes is documented nowhere. An import is done when the history, or a profile of the
    # table, has been asked for this often ...
    import_after_polls: int = 0
    # ... and this long after the emulator noticed the file. Both zero: as soon as the file is noticed.
    import_after_seconds: float = 0.0
    # The guide contradicts itself: "store the successfully processed rows" against "if an attribute value
    # doesn't respect the attribute's datatype/format, the upload will fail". Guess: one bad value fails the
    # whole file, and nothing of it is stored. "row" stores the good rows and counts the bad ones.
    row_failure: Literal["file", "row"] = "file"
    # The guide again: "case sensitive and only accepts true and false", against True and "TRUE" in its table of valid
    # cells. Guess: the table is right. "lower" takes lowercase only.
    bool_case: Literal["any", "lower"] = "any"
    # A cell with an exponent in a column of doubles: the guide lists plain decimals only. Guess: accepted. "drop_row":
    # the row is not stored, and counted nowhere.
    exponents: Literal["accept", "refuse", "drop_row"] = "accept"
    # -2^63 in a column of longs: it is in the range that the guide writes in powers, and out of the one in digits.
    # Guess: accepted.
    long_minimum: Literal["accept", "refuse"] = "accept"
    # An instant without Z: wrong by the guide's text, valid in its table. Guess: the table is right.
    missing_z: Literal["accept", "refuse"] = "accept"
    # An epoch of 0: "only accepts positive integers", and valid in the table under it. Guess: the table is right.
    epoch_zero: Literal["accept", "refuse"] = "accept"
    # Seconds in the guide, milliseconds in the API reference. It shows where an epoch is read as an instant
    # (`read_dates`); what was written is stored untouched. Guess: the guide is right.
    epoch_unit: Literal["seconds", "milliseconds"] = "seconds"
    # An empty cell. Guess: it writes nothing. "clear" takes the value away, "error" makes the row bad.
    empty_cells: Literal["skip", "clear", "error"] = "skip"
    # A byte order mark at the beginning. Guess: skipped. "refuse": it makes the first column another one.
    byte_order_mark: Literal["skip", "refuse"] = "skip"
    # How a file with tabs is told: the guide allows CSV and TSV. Guess: by the ending of its name. "content": by its
    # header; "never": every file has commas.
    tabs: Literal["by_name", "content", "never"] = "by_name"
    # Spaces after a comma: the guide's sample row has them, and common readers keep them. Guess: skipped.
    leading_spaces: Literal["skip", "keep"] = "skip"
    # A customer who is in a file twice. Guess: the last row counts. "error" makes the later row bad.
    duplicate_ids: Literal["last", "first", "error"] = "last"
    # No history is documented; this is how ours may differ from the one that a connection names. What a file is called:
    # its key, the last part of that, or a URL. Guess: its key.
    history_names: Literal["key", "name", "url"] = "key"
    # How instants are written. Guess: as everywhere in the API.
    history_times: Literal["iso", "seconds", "milliseconds", "mail", "none"] = "iso"
    # Guess: the oldest first.
    history_order: Literal["oldest_first", "newest_first"] = "oldest_first"
    # The words for states. Guess: ours. "upper": in capitals; "other": words that nobody knows.
    history_states: Literal["lower", "upper", "other"] = "lower"
    # Whether rows are counted. Guess: they are.
    history_counts: bool = True
    # What a profile write is answered: 201 without a body in the reference of 2020 (the default), its JSON in that of
    # 2016.
    profile_write_answer: Literal["empty", "echo"] = "empty"
    # What JSON an epoch is in a write: the reference has no example. Guess: a number. "text": a string.
    write_epochs: Literal["number", "text"] = "number"
    # What JSON dates are when they are read. Guess: as they were written. Otherwise all of them are ISO texts, or
    # seconds, or milliseconds since 1970.
    read_dates: Literal["as_written", "iso", "seconds", "milliseconds"] = "as_written"
    # Whether numbers and booleans are read as such. Guess: they are. "text": as strings.
    read_values: Literal["typed", "text"] = "typed"
    # What the reading of a profile is answered. Guess: "ok", 200 and the profile. A number is a status that refuses it;
    # "html" is a page of a proxy's, with 200.
    profile_read: Literal["ok", "html", 400, 401, 403, 500] = "ok"
    # What is read for a customer that nobody wrote. Guess: 404. "empty": 200, and no values.
    unknown_profile: Literal["404", "empty"] = "404"
    # How long until a value that was written or imported is read. Guess: at once; no delay is documented.
    profile_lag_seconds: float = 0.0
    # A name or datatype in the update of an attribute: the reference calls both unsupported, and its example sends
    # them. Guess: they are ignored. "400" refuses them.
    attribute_put: Literal["ignore", "400"] = "ignore"
    # Another list of aliases for a user who has some. Guess: it adds to them. "replace": those of other tables go.
    aliases_again: Literal["add", "replace"] = "add"
    # What the creation of aliases is answered: the reference shows nothing. Guess: no body.
    alias_answer: Literal["empty", "echo"] = "empty"
    # Whether archived services, tables and attributes are listed. Guess: they are, as each has a member `archived`.
    archived_in_lists: Literal["yes", "no"] = "yes"
    # Where. Guess: "archived_first", as they are older than what replaces them.
    archived_order: Literal["archived_first", "archived_last"] = "archived_first"
    # Entries on one page of a list, and a Link header that leads to the next; 0 for one page of all. Guess: one, as no
    # paging is documented.
    list_page_size: int = 0
    # One more attribute in each list, of a datatype or format that no page knows. Guess: none.
    odd_attribute: Literal["none", "datatype", "format"] = "none"
    # What is read of a customer whom no table knows. Guess: 200, and an empty list.
    unknown_view: Literal["empty", "404"] = "empty"
    # The path of that: with the table's id in the reference of 2020, without it in that of 2016. Guess: the newer one.
    consolidated_path: Literal["2020", "2016"] = "2020"
    # In which header a token is looked for: the guide says that DCP takes classic tokens only (the header Token), and
    # "highly recommends" OAuth 2.0 (Authorization: Bearer) all the same. Guess: classic ones only.
    accepted_auth: Literal["token", "bearer", "both"] = "token"
    # The status of a second service: documented is only that an account has one. Guess: a bad request.
    second_service_status: Literal[400, 403, 409] = 400

    # What the keys of a table may do in the import bucket: the guide names GET and PUT. Guess: "all" that an upload in
    # parts needs too, since files above the 5 GB of one PUT are allowed. "get_put_only" answers 405 to other methods,
    # "no_if_none_match" 501 to that header, and the others 403 to what they name, "no_look" to HEAD and GET.
    s3_permissions: S3Permissions = "all"
    # How HEAD is answered, which the guide does not name. Guess: as AWS does. A proxy, or another store, may refuse it
    # with other codes, or find nothing.
    s3_head: OddHead = "answered"
    # What becomes of a request with If-None-Match, which the guide does not name. Guess: AWS keeps the condition. Other
    # stores refuse each such request with these codes; "ConditionalRequestConflict" (409) is what AWS documents, too,
    # for requests at the same time.
    s3_condition: OddCondition = "kept"
    # Whether the bucket checks who signs. AWS always does. "any": it takes whatever is signed with, for tests.
    s3_credentials: Literal["checked", "any"] = "checked"
    # Which AWS keys a service that is created, and its tables, show: all that the reference prints. Whether each table
    # has any is unknown. Guess: "both".
    table_keys: TableKeys = "both"
    # The form of the s3_path of a service that is created, and of its tables. The reference prints dcp/567/678, and no
    # page says that it is made of ids. Guess: "ids". "opaque" has a letter after dcp/, as on a screenshot of 2020.
    s3_path: PathForm = "ids"
    # What becomes of an object once its import is over: no page says that it stays. Guess: "keep". "move": to another
    # place in the bucket.
    object_after_import: Literal["keep", "remove", "move"] = "keep"
    # Files of so many bytes are not accepted. Documented: "under 10GB", without a word on how many bytes a GB has.
    import_limit_bytes: int = MAX_IMPORT_BYTES
    # How they are not accepted. Guess: the import fails. "s3": S3 refuses the upload, "ignored": no import begins.
    too_large: Literal["failed", "s3", "ignored"] = "failed"


@dataclass(frozen=True)
class Switches(DcpSwitches, OptixSwitches):
    """All switches of one emulator."""

    # Whether a 429 says how long to wait, of either API. Guess: it does.
    retry_after: bool = True
    # How long the HTTP server holds back each answer of an API. Other requests go on meanwhile.
    latency_seconds: float = 0.0
    # What both APIs answer to a write instead of success, as a proxy might, or a server that took only a part. Guess:
    # "none" of these. For tests: neither vendor documents any.
    doubtful_success: DoubtfulSuccess = "none"
    # Whether the work is done all the same.
    doubtful_work_done: bool = True


NAMES = frozenset(one.name for one in fields(Switches))


class NotedSwitches(Switches):
    """Switches that note in `met` which of them are read: a handler reads one only where its setting matters.

    `plain` are the same without that.
    """

    plain: Switches
    met: set[str]

    def __init__(self, switches: Switches) -> None:
        plain = switches.plain if isinstance(switches, NotedSwitches) else switches
        vars(self).update(plain=plain, met=set())

    def __getattribute__(self, name: str) -> Any:
        if name in NAMES:
            self.met.add(name)
            return getattr(self.plain, name)
        return super().__getattribute__(name)
