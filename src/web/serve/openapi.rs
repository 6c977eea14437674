//! What the server answers, as an OpenAPI document that clients are made from.

use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};

use super::{classify, film, kserve, pipeline, state};

#[derive(OpenApi)]
#[openapi(
    info(title = "classify", description = "Says what happens in video clips."),
    paths(
        classify::classify,
        film::timeline,
        pipeline::pipeline,
        kserve::about,
        kserve::model,
        kserve::ready,
        kserve::infer,
        state::live,
        state::ready,
        state::metrics,
    )
)]
struct Routes;

/// The document, for a server that wants a token or doesn't.
pub(super) fn document(token: bool) -> Document {
    let mut document = Routes::openapi();
    if token {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
        document.security = Some(vec![SecurityRequirement::new("token", [""; 0])]);
    }
    document
}
