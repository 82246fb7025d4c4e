"""What the vendors leave open: one switch for each guess, with the guess beside it. No I/O here."""

from dataclasses import dataclass
from typing import Literal

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


@dataclass(frozen=True)
class OptixSwitches:
    """Opti-X Data Connections. Nothing of this is documented unless the comment says so."""

    # The status of a connection that was created. Guess: as a POST that creates usually answers.
    create_status: Literal[200, 201] = 201
    # What the answer to a creation calls the uuid. Guess: "uuid", one, as the walkthrough shows it. The others say
    # nothing that could be used, although the connection is there.
    created_uuid: Literal["uuid", "null", "missing", "number", "no_uuid"] = "uuid"
    # The body of an upload or update that was accepted. Guess: `{"success": true}`, as the sibling Sports API
    # answers, and the batch (which may be the server's own; an update has none). "success" leaves the batch out.
    success_body: Literal["empty", "success", "batch"] = "batch"
    # The form of an error. Guess: "main", that of the vendor's main API (status, error, message). "detail" is that of
    # a web framework which the Gaming API seems to use, "x" that of an unofficial page, "text" the bare words.
    error_envelope: Literal["main", "detail", "x", "text"] = "main"
    # Fields of a wrong type: documented is 400 for "bad format" in general. Guess: here too, not 422.
    schema_status: Literal[400, 422] = 400
    # A uuid that belongs to no connection. Guess: as for any resource that does not exist.
    unknown_uuid_status: Literal[400, 404] = 404
    # A right API key with a wrong or missing brand key. Guess: as for a wrong API key.
    wrong_brand_status: Literal[401, 403, 404] = 401
    # Whether the keys 1 and "1" are one record. Guess: "typed", they are two. The samples use both kinds, on one
    # connection.
    key_identity: Literal["typed", "text"] = "typed"
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
    # An update of a key that is not there. Guess: it is inserted, as by an upload. "404" refuses the request.
    absent_key: Literal["upsert", "404", "ignore"] = "upsert"
    # Items in one update, 0 for no limit. Guess: as documented for uploads.
    update_limit: int = 5000
    # A time to live of 0. Guess: refused. "expire": the record is stored and expires at once.
    zero_ttl: Literal["refuse", "expire"] = "refuse"
    # Requests in any 10 seconds before 429, 0 for no limit. Guess: none. The main API documents 50.
    requests_per_10s: int = 0
    # Whether that 429 says how long to wait. Guess: it does.
    retry_after: bool = True
    # A longer body is answered 413, 0 for no limit. Guess: none.
    max_body_bytes: int = 0
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

    # How long an import takes is documented nowhere. An import is done when the history has been asked this
    # often ...
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
    # What a profile write is answered: 201 without a body in the reference of 2020 (the default), its JSON in that of
    # 2016.
    profile_write_answer: Literal["empty", "echo"] = "empty"
    # What is read for a customer that nobody wrote. Guess: 404. "empty": 200, and no values.
    unknown_profile: Literal["404", "empty"] = "404"
    # How long until a value that was written or imported is read. Guess: at once; no delay is documented.
    profile_lag_seconds: float = 0.0
    # A name or datatype in the update of an attribute: the reference calls both unsupported, and its example sends
    # them. Guess: they are ignored. "400" refuses them.
    attribute_put: Literal["ignore", "400"] = "ignore"
    # The status of a second service: documented is only that an account has one. Guess: a bad request.
    second_service_status: Literal[400, 403, 409] = 400
    # The guide again: "only classic tokens", in a header Token, against "We highly recommend that you use OAuth 2.0",
    # whose tokens go into Authorization: Bearer. Guess: the first.
    dcp_auth: Literal["token", "bearer", "both"] = "token"
    # Whether lists show what is archived. Guess: they do, since they show whether it is.
    archived_in_lists: bool = True
    # In which order lists show several of one name, of which all but one are archived. Guess: the oldest first.
    list_order: Literal["oldest_first", "newest_first"] = "oldest_first"
    # Whether an attribute may have the name of an archived one. Guess: it may, since the reference recommends
    # "archiving the existing attribute and creating a replacement". "taken" refuses it.
    archived_name: Literal["free", "taken"] = "free"
    # An attribute that the API shows and no page describes: of another datatype, of another format, of none. Guess:
    # none is there.
    odd_attribute: Literal["none", "datatype", "format", "null"] = "none"
    # Pages of lists: no page speaks of any, and the examples are whole arrays. Guess: none. "link": one entry a page,
    # and a Link header (RFC 8288) to the next. "elsewhere": that leads to another host.
    list_paging: Literal["none", "link", "elsewhere"] = "none"
    # What the ids of the config API are. Guess: numbers, as in its examples. The profile host has texts.
    config_ids: Literal["number", "text"] = "number"
    # The path of the consolidated view. Guess: that of the reference of 2020, which has the table's id in it.
    consolidated_path: Literal["2020", "2016"] = "2020"
    # What the consolidated view of a user is whom no table knows. Guess: an empty array.
    unknown_view: Literal["empty", "404", "null", "no_body"] = "empty"


@dataclass(frozen=True)
class Switches(DcpSwitches, OptixSwitches):
    """All switches of one emulator."""

    # How long the HTTP server holds back each answer of an API. Other requests go on meanwhile.
    latency_seconds: float = 0.0
    # What both APIs answer to a write instead of success, as a proxy might, or a server that took only a part. Guess:
    # "none" of these. For tests: neither vendor documents any.
    doubtful_success: DoubtfulSuccess = "none"
    # Whether the work is done all the same.
    doubtful_work_done: bool = True
