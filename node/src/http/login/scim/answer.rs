//! Answers in SCIM's shape (RFC 7644, section 3.12).

use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::home::people::{AccountError, ProvisionError};
use crate::http::failure::Failure;
use crate::store::StoreError;

/// What is told to a client whose request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    /// `scimType`, where the specification has a word for it.
    pub kind: Option<&'static str>,
    pub detail: String,
}

pub type Scim<T> = Result<T, Refusal>;

impl Refusal {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Refusal {
        Refusal {
            status,
            kind: None,
            detail: detail.into(),
        }
    }

    pub fn bad(kind: &'static str, detail: impl Into<String>) -> Refusal {
        Refusal {
            kind: Some(kind),
            ..Refusal::new(StatusCode::BAD_REQUEST, detail)
        }
    }

    pub fn value(detail: impl Into<String>) -> Refusal {
        Refusal::bad("invalidValue", detail)
    }

    pub fn syntax(detail: impl Into<String>) -> Refusal {
        Refusal::bad("invalidSyntax", detail)
    }

    pub fn filter(detail: impl Into<String>) -> Refusal {
        Refusal::bad("invalidFilter", detail)
    }

    pub fn path(detail: impl Into<String>) -> Refusal {
        Refusal::bad("invalidPath", detail)
    }

    pub fn target(detail: impl Into<String>) -> Refusal {
        Refusal::bad("noTarget", detail)
    }

    pub fn mutability(detail: impl Into<String>) -> Refusal {
        Refusal::bad("mutability", detail)
    }

    pub fn taken(detail: impl Into<String>) -> Refusal {
        Refusal {
            kind: Some("uniqueness"),
            ..Refusal::new(StatusCode::CONFLICT, detail)
        }
    }

    pub fn missing() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "There is nothing of that name here.")
    }

    pub fn method() -> Refusal {
        let detail = "This cannot be done with what the address names.";
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, detail)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.status.as_u16().to_string(),
            "detail": self.detail,
        });
        if let Some(kind) = self.kind {
            body["scimType"] = kind.into();
        }
        let mut response = scim(self.status, &body);
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // The rest of the body is not read, so nothing can follow it on this connection.
            StatusCode::PAYLOAD_TOO_LARGE => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// An answer with a body.
pub fn scim(status: StatusCode, body: &Value) -> Response {
    let kind = [(CONTENT_TYPE, "application/scim+json")];
    (status, kind, body.to_string()).into_response()
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Failure::from(error).into()
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal::new(failure.status, failure.message)
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Refusal {
        match error {
            AccountError::Store(error) => error.into(),
            AccountError::Unknown => Refusal::missing(),
            AccountError::Full => Refusal::new(StatusCode::INSUFFICIENT_STORAGE, error.to_string()),
            other => Refusal::value(other.to_string()),
        }
    }
}

impl From<ProvisionError> for Refusal {
    fn from(error: ProvisionError) -> Refusal {
        match error {
            ProvisionError::Account(error) => error.into(),
            ProvisionError::Taken(_) => Refusal::taken(error.to_string()),
            other => Refusal::value(other.to_string()),
        }
    }
}
