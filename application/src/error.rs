//! Why a request fails, and the response for each reason.

use axum::http::{StatusCode as Status, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};

/// The error of all handlers, so that they can use `?`.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("a note is one line of text")]
    NotALine,
    #[error("too many notes are waiting")]
    Overloaded,
    #[error("internal error")]
    NoWorker,
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let (text, retry) = (self.to_string(), [(RETRY_AFTER, "1")]);
        match self {
            Self::NotALine => (Status::UNPROCESSABLE_ENTITY, text).into_response(),
            Self::Overloaded => {
                (Status::SERVICE_UNAVAILABLE, retry, text).into_response()
            }
            Self::NoWorker => (Status::INTERNAL_SERVER_ERROR, text).into_response(),
        }
    }
}
