//! Signs with HMAC-SHA512 and with Bearer as the crate does, and says how it went by its exit code.

use std::env::var;

use oauth10a::client::Client;
use oauth10a::credentials::Credentials;
use oauth10a::rest::{ErrorResponse, RestClient};
use serde_json::{Value, json};

type Answer = Result<Value, ErrorResponse<Value>>;

async fn get(client: &Client, url: &str) -> Answer {
    client.get(url).await.expect("an answer")
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let [host, token, secret, key, consumer, owner, app] =
        ["API_HOST", "TOKEN", "SECRET", "CONSUMER_KEY", "CONSUMER_SECRET", "OWNER", "APP"]
            .map(|name| var(name).unwrap_or_else(|_| panic!("{name} is not set")));
    let signed = |secret: &str| {
        let credentials = Credentials::OAuth1 {
            token: token.as_str(),
            secret,
            consumer_key: key.as_str(),
            consumer_secret: consumer.as_str(),
        };
        Client::new().with_credentials(credentials)
    };
    let client = signed(&secret);

    let hooks = format!("{host}/v2/notifications/webhooks/{owner}");
    assert_eq!(get(&client, &hooks).await, Ok(json!([])));
    let urls = json!([{"format": "raw", "url": "https://example.com/1"}]);
    let given = json!({"name": "crate", "urls": urls, "scope": [app], "events": ["GIT_PUSH"]});
    let made: Answer = client.post(&hooks, &given).await.expect("an answer");
    let made = made.expect("it is made");
    assert_eq!(
        (&made["name"], &made["urls"], &made["scope"]),
        (&given["name"], &given["urls"], &given["scope"])
    );
    let one = format!("{hooks}/{}", made["id"].as_str().expect("an id"));
    let changed: Answer = client.put(&one, &json!({"name": "other", "urls": urls})).await.expect("an answer");
    assert_eq!(changed.expect("it is changed")["name"], "other");
    let gone: Result<(), ErrorResponse<Value>> = client.delete(&one).await.expect("an answer");
    assert_eq!(gone, Ok(()));
    let again: Result<(), ErrorResponse<Value>> = client.delete(&one).await.expect("an answer");
    assert_eq!(again.expect_err("it is gone").value["message"], "hook not found");

    // Values in the query are signed, decoded and encoded again. (Names the crate does not encode: they are plain.)
    let asked = "limit=10&b=a%2Bb%26c%3D%C3%A9&a=x+y%20z%7E*";
    let deployments = format!("{host}/v2/organisations/{owner}/applications/{app}/deployments?{asked}");
    assert_eq!(get(&client, &deployments).await, Ok(json!([])));

    let pair = format!("{token}.{secret}");
    let bearer = Client::new().with_credentials(Credentials::Bearer { token: pair.as_str() });
    assert_eq!(get(&bearer, &hooks).await, Ok(json!([])));
    let refused = get(&signed("wrong"), &hooks).await.expect_err("it is refused");
    assert_eq!((refused.status_code.as_u16(), &refused.value["id"]), (401, &json!(2001)));
}
