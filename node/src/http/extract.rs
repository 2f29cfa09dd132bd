//! What handlers take out of a request, with failures in the API's shape.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::home::id::Id;

/// A JSON body, whatever its content type says: clients differ in that.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Json<T>, Failure> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| {
                Failure::new(
                    rejection.status(),
                    "api.context.invalid_body_param.app_error",
                    rejection.body_text(),
                )
            })?;
        let parsed = serde_json::from_slice(&bytes);
        parsed
            .map(Json)
            .map_err(|error| Failure::bad(format!("The body of the request: {error}.")))
    }
}

/// The query of a URL.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Query<T>, Failure> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await?;
        Ok(Query(query.0))
    }
}

/// An id in a path or a body.
pub fn id(text: &str, what: &str) -> Result<Id, Failure> {
    Id::parse(text).ok_or_else(|| Failure::bad(format!("'{text}' is not the id of a {what}.")))
}

/// A page of a list.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(default)]
pub struct Page {
    pub page: i64,
    pub per_page: i64,
}

impl Default for Page {
    fn default() -> Page {
        Page {
            page: 0,
            per_page: 60,
        }
    }
}

/// The most entries of one page, as Mattermost has it.
const PER_PAGE_MAX: usize = 200;

impl Page {
    pub fn size(&self) -> usize {
        usize::try_from(self.per_page)
            .unwrap_or(60)
            .clamp(1, PER_PAGE_MAX)
    }

    /// How many entries come before it; a negative page asks for all.
    pub fn skip(&self) -> usize {
        usize::try_from(self.page)
            .unwrap_or(0)
            .saturating_mul(self.size())
    }

    pub fn of<T>(&self, all: Vec<T>) -> Vec<T> {
        if self.page < 0 {
            return all;
        }
        all.into_iter()
            .skip(self.skip())
            .take(self.size())
            .collect()
    }
}
