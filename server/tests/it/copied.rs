//! The code the console gives people to copy, run as they would run it.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;

#[path = "../../templates/console/verify/verify.rs"]
mod verify;

/// Runs a program on some input, and gives what it says.
async fn says(
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
    dir: &std::path::Path,
    input: &str,
) -> String {
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    String::from_utf8(child.wait_with_output().await.unwrap().stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_code_people_copy_tells_genuine_from_forged_requests() {
    let secret = sonnette_core::signing::secret(&[9; 32]);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let now = i64::try_from(now).unwrap();
    let (id, body) = ("dlv_1", "{\"data\":\"é\"}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("body.json"), body).unwrap();
    let (node, python, shell) = (
        include_str!("../../templates/console/verify/verify.mjs"),
        include_str!("../../templates/console/verify/verify.py"),
        include_str!("../../templates/console/verify/verify.sh"),
    );
    let node = format!(
        "{node}\nimport {{ readFileSync }} from 'node:fs';\nconst e = process.env, headers = {{'webhook-id': e.ID, \
         'webhook-timestamp': e.TIMESTAMP, 'webhook-signature': e.SIGNATURE}};\n\
         console.log(genuine(e.SECRET, headers, readFileSync('body.json')) ? 'genuine' : 'forged');"
    );
    let python = format!(
        "{python}\nimport os\ne = os.environ\nheaders = {{'webhook-id': e['ID'], 'webhook-timestamp': e['TIMESTAMP'], \
         'webhook-signature': e['SIGNATURE']}}\nprint('genuine' if genuine(e['SECRET'], headers, open('body.json', 'rb').read()) else 'forged')"
    );
    let signed =
        |at: i64| sonnette_core::signing::sign([&secret].into_iter(), id, at * 1_000, body.as_bytes());
    let forged = sonnette_core::signing::sign([&secret].into_iter(), id, now * 1_000, b"other");
    for (at, signature, expected) in
        [(now, signed(now), true), (now, forged, false), (now - 600, signed(now - 600), false)]
    {
        let at_text = at.to_string();
        let environment =
            [("SECRET", secret.expose()), ("ID", id), ("TIMESTAMP", &at_text), ("SIGNATURE", &signature)];
        for (program, arguments, code) in [
            ("sh", &["-s"][..], shell),
            ("node", &["--input-type=module", "-"], &node),
            ("python3", &["-"], &python),
        ] {
            let said = says(program, arguments, &environment, dir.path(), code).await;
            assert_eq!(said == "genuine", expected, "{program}: {said}");
        }
        assert_eq!(
            verify::genuine(secret.expose(), id, &at_text, &signature, body.as_bytes(), now),
            expected,
            "Rust"
        );
    }
}
