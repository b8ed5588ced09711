//! Why a request fails, and the response for each reason.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{StatusCode as Status, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// The error of all handlers, so that they can use `?`.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("{0}")]
    Invalid(&'static str),
    #[error(transparent)]
    Body(#[from] JsonRejection),
    /// No id: a client need not know of which type ids are.
    #[error("nothing is here")]
    Path(#[from] PathRejection),
    #[error(transparent)]
    Query(#[from] QueryRejection),
    #[error("nothing is here")]
    NotFound,
    #[error("too many requests are waiting")]
    Overloaded,
    #[error("the database does not answer")]
    Unavailable,
    /// The cause is in the log.
    #[error("internal error")]
    Internal,
}

/// The body of each error: a code for programs, a text for people.
#[derive(Debug, Serialize)]
struct Body {
    code: &'static str,
    message: String,
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let (status, code) = match &self {
            Self::Invalid(_) => (Status::UNPROCESSABLE_ENTITY, "invalid"),
            Self::Body(rejection) => (rejection.status(), "invalid_body"),
            Self::Path(_) | Self::NotFound => (Status::NOT_FOUND, "not_found"),
            Self::Query(_) => (Status::BAD_REQUEST, "invalid_query"),
            Self::Overloaded => (Status::SERVICE_UNAVAILABLE, "overloaded"),
            Self::Unavailable => (Status::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Internal => (Status::INTERNAL_SERVER_ERROR, "internal"),
        };
        let message = self.to_string();
        let body = Json(Body { code, message });
        match status {
            Status::SERVICE_UNAVAILABLE => {
                (status, [(RETRY_AFTER, "1")], body).into_response()
            }
            _ => (status, body).into_response(),
        }
    }
}
