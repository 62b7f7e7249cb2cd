//! What a request says: its body and its query, or the answer that says what is wrong with them, in the one shape that
//! every refusal has.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;

use super::messages::Refused;

/// Why nothing is done.
pub(super) type Refusal = (StatusCode, Json<Refused>);

/// A refusal with one reason.
pub(super) fn refusal(status: StatusCode, why: impl Into<String>) -> Refusal {
    (status, Json(Refused { errors: vec![why.into()] }))
}

/// A refusal with every reason.
pub(super) fn refuse(status: StatusCode, errors: Vec<String>) -> Response {
    (status, Json(Refused { errors })).into_response()
}

/// The answer to one too many.
pub(super) fn busy(why: &str) -> Response {
    let why = format!("the agent is busy; try again in a moment: {why}");
    ([(header::RETRY_AFTER, "1")], refusal(StatusCode::SERVICE_UNAVAILABLE, why)).into_response()
}

/// The answer where what makes it broke off.
pub(super) fn broke_off() -> Response {
    let why = "the agent failed to answer; see its log";
    refusal(StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
}

/// The JSON in a body, of which none stands for `null`.
#[derive(Debug)]
pub(super) struct Said<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Said<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|error| refusal(error.status(), error.body_text()))?;
        let text: &[u8] = if body.is_empty() { b"null" } else { &body };
        let what = if body.is_empty() { "the request has no body" } else { "the body of the request" };
        let bad = |error| refusal(StatusCode::BAD_REQUEST, format!("{what}: {error}"));
        serde_json::from_slice(text).map(Self).map_err(bad)
    }
}

/// What the query of an address says.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Self(asked)).map_err(|error| refusal(error.status(), error.body_text()))
    }
}

/// The answer where nothing is.
pub(super) async fn unknown(uri: Uri) -> Refusal {
    refusal(StatusCode::NOT_FOUND, format!("there is no `{}`", uri.path()))
}

/// The answer to a method that a route does not have.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    refusal(StatusCode::METHOD_NOT_ALLOWED, format!("`{}` takes no {method}", uri.path()))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Note {
        note: String,
    }

    async fn said<T: DeserializeOwned>(body: &'static str) -> Result<T, (u16, String)> {
        let said = Said::<T>::from_request(Request::new(body.into()), &()).await;
        said.map(|Said(said)| said)
            .map_err(|(status, Json(refused))| (status.as_u16(), refused.errors.join("\n")))
    }

    #[tokio::test]
    async fn a_body_is_read_and_what_is_wrong_with_one_is_said_with_its_place() {
        assert_eq!(said::<Note>(r#"{"note":"a"}"#).await.unwrap().note, "a");
        assert!(said::<Option<Note>>("").await.unwrap().is_none());
        let (status, why) = said::<Note>("").await.unwrap_err();
        assert!(status == 400 && why.starts_with("the request has no body: "), "{why}");
        let (status, why) = said::<Note>("{\n\"note\": 3}").await.unwrap_err();
        assert!(status == 400 && why.contains("line 2 column 9"), "{why}");
    }

    #[tokio::test]
    async fn a_query_is_read() {
        let asked = async |uri: &'static str| {
            let request = Request::builder().uri(uri).body(()).unwrap();
            Asked::<Note>::from_request_parts(&mut request.into_parts().0, &()).await
        };
        assert_eq!(asked("/v1/x?note=a").await.unwrap().0.note, "a");
        let (status, Json(refused)) = asked("/v1/x").await.unwrap_err();
        assert!(status == 400 && refused.errors[0].contains("note"), "{refused:?}");
    }
}
