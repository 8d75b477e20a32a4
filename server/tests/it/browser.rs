//! A browser without JavaScript: links followed, forms filled in from the page and sent. The real server in this process, over a
//! real socket.

use std::collections::BTreeMap;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use crate::api::Api;

/// A page as it came.
#[derive(Debug)]
pub struct Seen {
    pub status: u16,
    pub location: String,
    pub headers: http::HeaderMap,
    pub html: String,
}

impl Seen {
    /// The value of the first field of this name.
    pub fn field(&self, name: &str) -> String {
        let at =
            self.html.find(&format!("name=\"{name}\"")).unwrap_or_else(|| panic!("no {name}: {self:#?}"));
        let end = at + self.html[at..].find('>').unwrap();
        let start = self.html[..at].rfind('<').unwrap();
        let tag = &self.html[start..end];
        let value = tag.split_once("value=\"").map_or("", |(_, rest)| rest.split('"').next().unwrap());
        unescaped(value)
    }

    /// The page with its characters as they are read.
    pub fn text(&self) -> String {
        unescaped(&self.html)
    }

    pub fn says(&self, words: &str) -> bool {
        self.text().contains(words)
    }
}

fn unescaped(html: &str) -> String {
    html.replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&")
}

/// A browser without JavaScript: it keeps cookies, and that is all.
pub struct Browser<'a> {
    api: &'a Api,
    http: Client<HttpConnector, Full<Bytes>>,
    pub cookies: BTreeMap<String, String>,
    pub lang: &'static str,
}

impl<'a> Browser<'a> {
    pub fn new(api: &'a Api) -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        Self { api, http, cookies: BTreeMap::new(), lang: "en" }
    }

    /// Signed in as whoever has this address.
    pub async fn of(api: &'a Api, email: &str) -> Self {
        let mut browser = Self::new(api);
        let link = link(api, email).await;
        let page = browser.get(&link).await;
        let done =
            browser.post("/sign-in/open", &[("link", &page.field("link")), ("next", "/")], &page).await;
        assert_eq!((done.status, done.location.as_str()), (303, "/"), "{done:#?}");
        browser
    }

    pub async fn send(&mut self, method: &str, path: &str, more: &[(&str, &str)], body: String) -> Seen {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.api.address))
            .header("accept", "text/html")
            .header("accept-language", self.lang)
            .header("user-agent", "Test/1.0")
            .header("cookie", cookies.join("; "));
        if method == "POST" && !more.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let response = self.http.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        for cookie in head.headers.get_all("set-cookie") {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        let bytes = body.collect().await.unwrap().to_bytes();
        Seen {
            status: head.status.as_u16(),
            location: head.headers.get("location").map_or("", |value| value.to_str().unwrap()).to_owned(),
            headers: head.headers,
            html: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub async fn get(&mut self, path: &str) -> Seen {
        self.send("GET", path, &[], String::new()).await
    }

    /// Sends a form of a page: with its token.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)], of: &Seen) -> Seen {
        let token = of.field("token");
        self.raw(path, &[], &[fields, &[("token", token.as_str())]].concat()).await
    }

    pub async fn raw(&mut self, path: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Seen {
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send("POST", path, headers, body).await
    }

    /// Sends a filled-in form.
    pub async fn fill(&mut self, path: &str, fields: &[(&str, String)], of: &Seen) -> Seen {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.post(path, &fields, of).await
    }

    /// What a script gets that shows the answer in place.
    pub async fn fetch(&mut self, path: &str, fields: &[(&str, String)], of: &Seen) -> Seen {
        let token = of.field("token");
        let mut fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        fields.push(("token", &token));
        self.raw(path, &[("x-fragment", "1")], &fields).await
    }
}

/// The path of a fresh sign-in link.
pub async fn link(api: &Api, email: &str) -> String {
    let made = api.op("POST", "/sign-in-links", json!({"email": email})).await;
    let url = made.body["url"].as_str().unwrap_or_else(|| panic!("{made:?}"));
    let host = url.split_once("://").unwrap().1;
    host[host.find('/').unwrap()..].to_owned()
}

/// An organisation with an admin and a developer.
pub struct Acme {
    pub api: Api,
    pub id: String,
}

impl Acme {
    pub async fn start() -> Self {
        let api = Api::start().await;
        let id = api.organisation("Acme").await;
        for (email, role) in [("alice@example.com", "ADMIN"), ("bob@example.com", "DEVELOPER")] {
            let (user, _) = api.user(email).await;
            api.op("PUT", &format!("/organisations/{id}/members/{user}"), json!({"role": role})).await;
        }
        Self { api, id }
    }

    pub async fn resource(&self, name: &str) -> String {
        let resource = json!({"kind": "application", "name": name});
        self.api.op("POST", &format!("/owners/{}/resources", self.id), resource).await.id()
    }

    /// The hooks of this kind, but those the organisation was born with.
    pub async fn hooks(&self, kind: &str) -> Vec<Value> {
        let list = self.api.op("GET", &format!("/owners/{}/hooks", self.id), Value::Null).await;
        let own =
            |hook: &&Value| hook["kind"] == kind && !hook["name"].as_str().unwrap().starts_with("Default ");
        list.body["items"].as_array().unwrap().iter().filter(own).cloned().collect()
    }
}
