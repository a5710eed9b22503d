"""How VIP says no: one exception, and the table of its codes (facts 1.3, 2)."""

from __future__ import annotations

GENERIC = 8000
NOT_IMPLEMENTED = 8001
BAD_CREDENTIALS = 8002
INSUFFICIENT_AUTH = 8003
INVALID_PIPELINE_IDENTIFIER = 8005
PIPELINE_NOT_FOUND = 8007
PIPELINE_NOT_ALLOWED = 8008
INPUT_FIELD_NOT_VALID = 8009
UNAUTHORIZED_DATA_ACCESS = 8013
INVALID_EXECUTION_ID = 8015
INPUT_FIELD_MISSING = 8018
INVALID_EXECUTION_NAME = 8019
PLATFORM_MAX_EXECS = 2000
USER_MAX_EXECS = 2001

_UNKNOWN_TEXT = "The error message for '{}' cannot be known in advance"

MESSAGES = {
    GENERIC: "An error has been encountered on the VIP API",
    NOT_IMPLEMENTED: "The {} method is not implemented in the VIP API",
    BAD_CREDENTIALS: "Bad credentials",
    INSUFFICIENT_AUTH: _UNKNOWN_TEXT.format("insufficient auth"),
    8004: _UNKNOWN_TEXT.format("authentication error"),
    INVALID_PIPELINE_IDENTIFIER: "The {} pipeline identifier is not valid",
    8006: _UNKNOWN_TEXT.format("application not found"),
    PIPELINE_NOT_FOUND: "The {} pipeline does not exists or cannot be used",
    PIPELINE_NOT_ALLOWED: "Not allowed to access pipeline {}",
    INPUT_FIELD_NOT_VALID: "Input field '{}' is not valid. Cause : {}",
    8010: "The date {} have a wrong format (needed : {})",
    8011: "The service {} is unknown, only 'vip' is possible",
    8012: "Country unknown : {}",
    UNAUTHORIZED_DATA_ACCESS: "Unauthorized data access to : {}",
    8014: "The login process encountered an error",
    INVALID_EXECUTION_ID: "No execution available with this id : {}",
    8016: "There is no example with the id : {}",
    8017: "The pipeline is not compatible with boutiques : {}",
    INPUT_FIELD_MISSING: "Input field '{}' is missing",
    INVALID_EXECUTION_NAME: "The execution name is not valid : Cause {}",
    8020: "The execution could not be submitted : Cause {}",
    PLATFORM_MAX_EXECS: "Max number of running executions reached on the platform.",
    USER_MAX_EXECS: (
        "Max number of running executions reached.<br />You already have {} running executions."
    ),
    2002: "Error getting application descriptor for {}.",
}


class Refusal(Exception):
    """An answer other than success: an HTTP status and VIP's own code and message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def body(self) -> dict[str, object]:
        """Return the JSON that every refusal has."""
        return {"errorCode": self.code, "errorMessage": self.message}


def refused(code: int = GENERIC, *values: object, status: int = 400) -> Refusal:
    """Make a business error; its message ends with the code, and has no HTML of the portal."""
    message = MESSAGES[code].replace("<br />", "").format(*values)
    return Refusal(status, code, f"{message} (Error code {code})")


class Misread(Refusal):
    """A request that the server could not even map."""


class NotLetIn(Refusal):
    """A request that came no further than the check of its key."""


def misread(status: int = 400) -> Refusal:
    """Make the answer to a request that could not be mapped; no code in its message."""
    return Misread(status, GENERIC, MESSAGES[GENERIC])


def no_key() -> Refusal:
    """Make the answer to a protected route asked without a key."""
    message = "An Authentication object was not found in the SecurityContext"
    return NotLetIn(401, INSUFFICIENT_AUTH, message)


def wrong_key() -> Refusal:
    """Make the answer to a key that nobody has."""
    return NotLetIn(401, BAD_CREDENTIALS, MESSAGES[BAD_CREDENTIALS])
