//! What a client is told when something fails: Mattermost's shape, with the words of
//! [`crate::api::ApiError`].

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::api::{ApiError, Fault};
use crate::home::people::AccountError;
use crate::store::StoreError;

/// A request that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    pub status: StatusCode,
    /// A stable word for programs.
    pub id: String,
    /// For people: what happened and what to do.
    pub message: String,
}

pub type Answer<T> = Result<T, Failure>;

impl Failure {
    pub fn new(status: StatusCode, id: &str, message: impl Into<String>) -> Failure {
        Failure {
            status,
            id: id.into(),
            message: message.into(),
        }
    }

    /// Nobody is logged in, or not any more.
    pub fn session() -> Failure {
        Failure::new(
            StatusCode::UNAUTHORIZED,
            "api.context.session_expired.app_error",
            "Invalid or expired session, please login again.",
        )
    }

    pub fn forbidden(message: impl Into<String>) -> Failure {
        Failure::new(
            StatusCode::FORBIDDEN,
            "api.context.permissions.app_error",
            message,
        )
    }

    /// What is not there, or not for this user: both get the same answer.
    pub fn missing(what: &str) -> Failure {
        Failure::new(
            StatusCode::NOT_FOUND,
            "app.missing.app_error",
            format!("There is no such {what}, or it is not yours to see."),
        )
    }

    pub fn bad(message: impl Into<String>) -> Failure {
        Failure::new(
            StatusCode::BAD_REQUEST,
            "api.context.invalid_body_param.app_error",
            message,
        )
    }

    pub fn too_many(message: impl Into<String>) -> Failure {
        Failure::new(
            StatusCode::TOO_MANY_REQUESTS,
            "api.context.rate_limited.app_error",
            message,
        )
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({
            "id": self.id,
            "message": self.message,
            "detailed_error": "",
            "request_id": "",
            "status_code": self.status.as_u16(),
        });
        (self.status, Json(body)).into_response()
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        let status = match (error.fault, error.code.as_str()) {
            (_, "stopping") => StatusCode::SERVICE_UNAVAILABLE,
            (Fault::Node, _) => StatusCode::INTERNAL_SERVER_ERROR,
            (_, code) if code.starts_with("no_such") => StatusCode::NOT_FOUND,
            (_, "changed_since") => StatusCode::CONFLICT,
            (_, "not_author" | "not_allowed" | "not_member" | "pact_not_in_force") => {
                StatusCode::FORBIDDEN
            }
            _ => StatusCode::BAD_REQUEST,
        };
        let message = match error.advice.is_empty() {
            true => error.what,
            false => format!("{}: {}", error.what, error.advice),
        };
        Failure::new(status, &format!("comity.{}.app_error", error.code), message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        tracing::error!(%error, "the store failed");
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "comity.store_failed.app_error",
            "The node could not write: its administrator has to look at its disk.",
        )
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Failure {
        match error {
            AccountError::Store(error) => error.into(),
            AccountError::Unknown => Failure::missing("user"),
            other => Failure::bad(other.to_string()),
        }
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Failure {
        Failure::new(
            rejection.status(),
            "api.context.invalid_url_param.app_error",
            rejection.body_text(),
        )
    }
}
