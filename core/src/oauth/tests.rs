use proptest::prelude::*;

use super::*;

const CONSUMER: &str = "MgVMqTr6fWlf2M0tkC2MXOnhfqBWDT";
const URL: &str =
    "http://127.0.0.1:8780/v2/notifications/emailhooks/orga_22222222-2222-4222-8222-222222222222";
/// As clever-tools 3.14.0 sent it, with the token secret `sec`.
const CAPTURED: &str = r#"OAuth oauth_consumer_key="T5nFjKeHH4AIlEveuGhB5S3xg8T19e", oauth_nonce="9kZ6sbKkLAS1Ra0qR5L4dC8Bk9rrX4Rb", oauth_signature="lFsLzICLOWO3l%2FN78vxzshxypSGFTlMwG5gX6JV7V7D0SoAtNAOuuw0JhDt5QjNOVRs4vUPiSL%2FgyMcQs%2BsFCw%3D%3D", oauth_signature_method="HMAC-SHA512", oauth_timestamp="1795423079", oauth_token="tok", oauth_version="1.0""#;

fn right(header: &str, url: &str, consumer: &str, token: &str) -> bool {
    let read = Authorization::parse(header).unwrap();
    read.verify(&http::Method::POST, &[url], &Secret::new(consumer), &Secret::new(token))
}

#[test]
fn what_the_command_line_of_version_3_signed_is_right_and_nothing_near_it_is() {
    assert!(right(CAPTURED, URL, CONSUMER, "sec"));
    let read = Authorization::parse(CAPTURED).unwrap();
    assert_eq!((read.token.as_str(), read.timestamp), ("tok", Some(1_795_423_079)));
    for (from, to) in [
        ("lFsLz", "lFsLy"),
        ("9kZ6", "9kZ7"),
        ("5423079", "5423078"),
        ("\"tok\"", "\"tol\""),
        ("SHA512", "SHA256"),
    ] {
        assert!(!right(&CAPTURED.replace(from, to), URL, CONSUMER, "sec"), "{to}");
    }
    assert!(!right(CAPTURED, URL, CONSUMER, "sed") && !right(CAPTURED, URL, "other", "sec"));
    for url in [
        &URL.replace("8780", "8781"),
        &URL.replace("http:", "https:"),
        &format!("{URL}?a=b"),
        &format!("{URL}/"),
        "/v2",
        "",
    ] {
        assert!(!right(CAPTURED, url, CONSUMER, "sec"), "{url}");
    }
    let get = read.verify(&http::Method::GET, &[URL], &Secret::new(CONSUMER), &Secret::new("sec"));
    assert!(!get, "another method");
    let any =
        |urls: &[&str]| read.verify(&http::Method::POST, urls, &Secret::new(CONSUMER), &Secret::new("sec"));
    assert!(any(&["http://other/", URL]) && !any(&[]), "any of the URLs");
}

#[test]
fn what_the_command_line_of_version_4_sends_is_right() {
    let header = r#"OAuth oauth_consumer_key="T5nFjKeHH4AIlEveuGhB5S3xg8T19e", oauth_token="tok", oauth_signature="MgVMqTr6fWlf2M0tkC2MXOnhfqBWDT%26sec""#;
    assert!(right(header, URL, CONSUMER, "sec"));
    assert!(right(&header.replace('"', ""), URL, CONSUMER, "sec"), "without quotes");
    assert!(
        !right(header, URL, CONSUMER, "se")
            && !right(header, URL, CONSUMER, "secret")
            && !right(header, URL, "other", "sec")
    );
    assert!(!right(&header.replace("%26", ""), URL, CONSUMER, "sec"));
}

#[test]
fn plaintext_secrets_may_be_encoded_once_or_twice() {
    for signature in ["c%2Fs%26t%2Bs", "c%252Fs%26t%252Bs", "c/s&t+s"] {
        let header =
            format!(r#"OAuth oauth_consumer_key="k", oauth_token="t", oauth_signature="{signature}""#);
        assert!(right(&header, URL, "c/s", "t+s"), "{signature}");
    }
}

#[test]
fn the_request_of_rfc_5849_1_2_is_right() {
    let header = r#"OAuth realm="Photos", oauth_consumer_key="dpf43f3p2l4k3l03", oauth_token="nnch734d00sl2jdk",
        oauth_signature_method="HMAC-SHA1", oauth_timestamp="137131202", oauth_nonce="chapoH",
        oauth_signature="MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D""#;
    let header = Authorization::parse(&header.replace('\n', " ")).unwrap();
    let url = "http://photos.example.net/photos?file=vacation.jpg&size=original";
    let verify = |url: &str| {
        header.verify(
            &http::Method::GET,
            &[url],
            &Secret::new("kd94hf93k423kf44"),
            &Secret::new("pfkkdhi9sl3r4s00"),
        )
    };
    assert!(verify(url));
    assert!(verify(&url.replace(".net/", ".net:80/")), "the default port is left out");
    assert!(
        verify("HTTP://Photos.Example.Net/photos?size=original&file=vacation.jpg"),
        "the order of a query does not matter"
    );
    assert!(!verify(&url.replace("original", "small")));
}

#[test]
fn the_base_string_is_that_of_rfc_5849_3_4_1_1() {
    let header = r#"OAuth realm="Example", oauth_consumer_key="9djdj82h48djs9d2", oauth_token="kkk9d7dh3k39sjv7",
        oauth_signature_method="HMAC-SHA1", oauth_timestamp="137131201", oauth_nonce="7d8f3e4a", oauth_signature="bYT5CMsGcbgUdFHObYMEfcx6bsw%3D""#;
    let header = Authorization::parse(&header.replace('\n', " ")).unwrap();
    // The form of its body is given in the query here: it is signed the same.
    let url = "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b&c2&a3=2+q";
    assert_eq!(
        header.base_string(&http::Method::POST, url).unwrap(),
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26\
         c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26\
         oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    );
}

#[test]
fn what_breaks_a_rule_is_refused_with_that_rule() {
    let minimal = r#"OAuth oauth_consumer_key="k", oauth_token="t", oauth_signature="s""#;
    assert!(Authorization::parse(minimal).is_ok());
    let with = |more: &str| Authorization::parse(&format!("{minimal}, {more}")).map(|_| ());
    let cases = [
        (r#"oauth_token="u""#, Malformed::Twice),
        (r#"oauth_tok%65n="u""#, Malformed::Twice),
        (r#"oauth_signature_method="RSA-SHA1""#, Malformed::Method),
        (r#"oauth_signature_method="HMAC-SHA512""#, Malformed::Missing("oauth_timestamp")),
        (r#"oauth_signature_method="HMAC-SHA512", oauth_timestamp="1""#, Malformed::Missing("oauth_nonce")),
        (r#"oauth_timestamp="+1""#, Malformed::Timestamp),
        (r#"oauth_timestamp="99999999999999999999""#, Malformed::Timestamp),
        (r#"oauth_version="2.0""#, Malformed::Version),
        (r#"a="%f""#, Malformed::Encoding),
        (r#"a="%ff""#, Malformed::Encoding),
        (r#"a="open"#, Malformed::Parameter),
        (r#"a="b" c="d""#, Malformed::Parameter),
        ("a", Malformed::Parameter),
        (r#"="b""#, Malformed::Parameter),
    ];
    for (more, rule) in cases {
        assert_eq!(with(more), Err(rule), "{more}");
    }
    let many: Vec<_> = (0..MOST_PARAMETERS).map(|n| format!("a{n}=b")).collect();
    assert_eq!(with(&many.join(",")), Err(Malformed::TooMany));
    assert_eq!(with(&format!("a={}", "b".repeat(LONGEST))), Err(Malformed::TooLong));
    let of = |header: &str| Authorization::parse(header).unwrap_err();
    assert_eq!(of("Bearer abc"), Malformed::Scheme);
    assert_eq!(of(""), Malformed::Scheme);
    assert_eq!(of("OAuth"), Malformed::Missing("oauth_signature"));
    assert_eq!(of(&minimal.replace("oauth_token", "token")), Malformed::Missing("oauth_token"));
    assert_eq!(of(&minimal.replace("oauth_consumer_key", "key")), Malformed::Missing("oauth_consumer_key"));
}

#[test]
fn a_header_does_not_print_the_secrets_it_carries() {
    let header = r#"OAuth oauth_consumer_key="k", oauth_token="t", oauth_signature="hunter2%26sec""#;
    assert!(!format!("{:?}", Authorization::parse(header).unwrap()).contains("hunter2"));
}

/// A header as a client writes it, its parameters in the order `turn` gives.
fn signed(parameters: &[(&str, &str)], signature: &str, turn: usize) -> String {
    let mut all: Vec<_> =
        parameters.iter().map(|(key, value)| format!("{}=\"{}\"", encoded(key), encoded(value))).collect();
    all.push(format!("oauth_signature=\"{}\"", encoded(signature)));
    let turn = turn % all.len();
    all.rotate_left(turn);
    format!("OAuth {}", all.join(", "))
}

proptest! {
    #[test]
    fn no_header_makes_it_panic(header in "\\PC*", parameters in "[a-z_=\",% 0-9A-F\\PC]{0,80}") {
        for header in [header, format!("OAuth {parameters}"), format!("OAuth oauth_signature=\"a\", oauth_token=b, oauth_consumer_key=c, {parameters}")] {
            if let Ok(read) = Authorization::parse(&header) {
                read.verify(&http::Method::GET, &[&header], &Secret::new("a"), &Secret::new("b"));
            }
        }
    }

    #[test]
    fn what_is_encoded_decodes(text: String) {
        prop_assert_eq!(decoded(&encoded(&text)).unwrap(), text);
    }

    #[test]
    fn what_is_signed_is_right_in_any_order_and_wrong_with_another_secret(
        consumer: String, secret in "[a-z]*", nonce: String, timestamp in 0..i64::MAX, query in "[a-z%&=0-9+]{0,20}", turn: usize, sha in 0..3usize,
    ) {
        let timestamp = timestamp.to_string();
        let method = ["HMAC-SHA1", "HMAC-SHA256", "HMAC-SHA512"][sha];
        let parameters = [
            ("oauth_consumer_key", "k"), ("oauth_token", "t"), ("oauth_nonce", nonce.as_str()),
            ("oauth_timestamp", timestamp.as_str()), ("oauth_signature_method", method), ("oauth_version", "1.0"),
        ];
        let url = format!("https://h/p?{query}");
        let unsigned = Authorization::parse(&signed(&parameters, "", 0)).unwrap();
        let base = unsigned.base_string(&http::Method::PUT, &url).unwrap();
        let key = format!("{}&{secret}", encoded(&consumer));
        fn mac<M: Mac + KeyInit>(key: &str, base: &str) -> String {
            let mut mac = <M as KeyInit>::new_from_slice(key.as_bytes()).unwrap();
            mac.update(base.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        }
        let signature = match sha {
            0 => mac::<Hmac<Sha1>>(&key, &base),
            1 => mac::<Hmac<Sha256>>(&key, &base),
            _ => mac::<Hmac<Sha512>>(&key, &base),
        };
        let read = Authorization::parse(&signed(&parameters, &signature, turn)).unwrap();
        let verify = |secret: &str| read.verify(&http::Method::PUT, &[&url], &Secret::new(consumer.clone()), &Secret::new(secret));
        prop_assert!(verify(&secret));
        let other = secret + "x";
        prop_assert!(!verify(&other));
    }
}
