//! What every kind looks like in every format: one file a format, for people to read.

use std::fmt::Write as _;

use serde_json::Value;

use super::samples::{fields, read, urls};
use super::{FORMATS, Format, Rendered, Rendering};
use crate::catalogue::Catalogue;
use crate::ids::DeliveryId;
use crate::lang::Lang;
use crate::message::{self, LinkTemplate, LinkTemplates};
use crate::ports::Names;
use crate::secret::Secret;

/// Every string, number and flag of a body on a line of its own, behind the keys that lead to it.
fn lines(value: &Value, path: &str, out: &mut String) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, item)| lines(item, &format!("{path}/{key}"), out)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| lines(item, &format!("{path}/{at}"), out));
        }
        Value::String(text) => {
            let text = text.replace('\u{200B}', "<ZWSP>").replace('\n', "\n      ");
            writeln!(out, "  {path}: {text}").unwrap();
        }
        other => writeln!(out, "  {path} = {other}").unwrap(),
    }
}

fn golden(format: &Format, more: &[(&str, &str)]) -> String {
    let catalogue = Catalogue::builtin().unwrap();
    let names =
        Names { owner: Some("ACME".into()), resource: Some("shop-api".into()), author: Some("Alice".into()) };
    let template = |path: &str| LinkTemplate::parse(&format!("https://console.example/{path}")).ok();
    let links = LinkTemplates {
        application: template("{owner}/{resource}"),
        deployment: template("{owner}/{resource}/{deployment}"),
        owner: template("{owner}"),
        event: None,
    };
    let mut fields = fields(format);
    fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))));
    let mut out = String::new();
    for url in urls(format) {
        let url = Secret::new(*url);
        for kind in catalogue.kinds() {
            let event = kind.sample_event();
            let it = Rendering {
                url: &url,
                fields: &fields,
                event: &event,
                delivery: DeliveryId { event: event.id, n: 0 },
                thread: None,
                plainly: false,
            };
            let message = || message::of(&catalogue, &event, &names, &links, Lang::En);
            let Rendered::Whole(request) = format.request(&it, message) else { panic!("{}", kind.name) };
            writeln!(out, "{}\n  {} {}", kind.name, request.method, request.url.expose()).unwrap();
            for (name, value) in &request.headers {
                writeln!(out, "  {name}: {}", value.to_str().unwrap()).unwrap();
            }
            if !request.body.is_empty() {
                lines(&read(&request), "", &mut out);
            }
        }
    }
    out
}

#[test]
fn every_kind_looks_like_this_in_every_format() {
    for format in FORMATS {
        insta::assert_snapshot!(format!("golden_{}", format.name), golden(format, &[]));
    }
    let cloudevents = super::find("cloudevents").unwrap();
    insta::assert_snapshot!("golden_cloudevents_binary", golden(cloudevents, &[("mode", "binary")]));
}
