//! The three things a person is most likely to come for, each done in every way people have.

use serde_json::{Value, json};

use crate::person::{Person, Way};
use crate::world::{World, within};

/// An organisation with an admin, an accountant and a few applications.
async fn acme(world: &World) -> (String, [String; 3]) {
    let acme = world.organisation("Acme").await;
    for (name, role) in [("Alice", "ADMIN"), ("Carol", "ACCOUNTING")] {
        let user = world.user(name, &format!("{}@acme.example", name.to_lowercase())).await;
        world.member(&acme, &user, role).await;
    }
    // So many that the list shows only some until one searches.
    for n in 0..55 {
        world.application(&acme, &format!("job {n:02}")).await;
    }
    let mut applications = [const { String::new() }; 3];
    for (at, name) in ["web", "shop", "worker"].into_iter().enumerate() {
        applications[at] = world.application(&acme, name).await;
    }
    (acme, applications)
}

async fn slack_deployment_results(way: Way) {
    let world = World::start().await;
    let (acme, [web, ..]) = acme(&world).await;
    let alice = Person::new(&world, way).await;
    alice.signs_in("alice@acme.example").await;
    alice.switches_to("Acme").await;
    alice.presses("Webhooks").await;
    alice.presses("Add a webhook").await;
    alice
        .fills("Webhook URL", "https://hooks.slack.com/services/T00000000/B00000000/wJalrXUtnFEMIK7MDENGbPxR")
        .await;
    alice.looks_again("Refresh the preview").await;
    alice.sees("Recognised: Slack").await;
    alice.ticks("Result of deployments (success/fail)").await;
    alice.looks_again("Refresh the preview").await;
    // The message as it will look.
    alice.sees("Deployment of shop-api succeeded after 2 min 12 s").await;
    alice.presses("Save").await;
    // Slack does not verify signatures: there is no secret to show.
    alice.sees("Added.").await;
    alice.sees("To Slack").await;
    alice.does_not_see("wJalrXUtnFEMIK7MDENGbPxR").await;

    // Slack itself is not called from here: its double listens on the loopback.
    let door = "/services/T00000000/B00000000/double";
    alice.presses("Edit: To Slack").await;
    alice.fills("Webhook URL", &world.receiver.url(door)).await;
    alice.presses("Test").await;
    alice.sees("A test is listed nowhere and counts as no failure.").await;
    let tested = world.receiver.at(door);
    assert_eq!(tested.len(), 1, "{tested:#?}");
    assert!(
        tested[0].body["text"].as_str().unwrap().starts_with("Deployment of shop-api succeeded"),
        "{tested:#?}"
    );
    alice.presses("Save").await;
    alice.sees("Saved.").await;

    world.deployed("DEPLOYMENT_SUCCESS", &acme, &web, "web").await;
    world.emit("CREDITS_ADDED", &acme, json!({"ownerId": acme, "amount": 20.0, "currency": "EUR"})).await;
    world.settled(&acme).await;
    let came = world.receiver.at(door);
    assert_eq!(came.len(), 2, "the test, the deployment, and nothing else: {came:#?}");
    assert!(came[1].body["text"].as_str().unwrap().starts_with("Deployment of web succeeded"), "{came:#?}");
    alice.presses("Deliveries").await;
    alice.presses("Deployment succeeded").await;
    alice.sees("Attempt 1").await;
    alice.leaves().await;
}

async fn only_some_applications_by_mail(way: Way) {
    let world = World::start().await;
    let (acme, [web, shop, worker]) = acme(&world).await;
    let alice = Person::new(&world, way).await;
    alice.signs_in("alice@acme.example").await;
    alice.switches_to("Acme").await;
    alice.presses("Delete: Default deployment result e-mails").await;
    alice.sees("The members are no longer written to about: Result of deployments (success/fail)").await;
    alice.presses("Delete it").await;
    alice.sees("Deleted.").await;
    alice.does_not_see("Default deployment result e-mails").await;

    alice.presses("Add an e-mail notification").await;
    alice.fills("Name", "Shop and worker").await;
    alice.ticks("Result of deployments (success/fail)").await;
    for name in ["shop", "worker"] {
        alice.fills("Find an application or add-on", name).await;
        alice.looks_again("Search").await;
        alice.ticks(name).await;
    }
    alice.presses("Save").await;
    alice.sees("Added.").await;
    alice.sees("shop, worker").await;

    for (id, name) in [(&web, "web"), (&shop, "shop"), (&worker, "worker")] {
        world.deployed("DEPLOYMENT_SUCCESS", &acme, id, name).await;
    }
    world.settled(&acme).await;
    for to in ["alice@acme.example", "carol@acme.example"] {
        let letters = world.letters(to);
        let about = |name: &str| {
            let subject = format!("Subject: [Acme] Deployment of {name} succeeded");
            letters.iter().filter(|letter| letter.lines().any(|line| line.starts_with(&subject))).count()
        };
        assert_eq!([about("web"), about("shop"), about("worker")], [0, 1, 1], "{to}: {letters:#?}");
    }
    alice.leaves().await;
}

async fn credits_warnings_to_a_web_service(way: Way) {
    let world = World::start().await;
    let (acme, _) = acme(&world).await;
    let alice = Person::new(&world, way).await;
    alice.signs_in("alice@acme.example").await;
    alice.switches_to("Acme").await;
    alice.presses("Webhooks").await;
    alice.presses("Add a webhook").await;
    alice.fills("Webhook URL", &world.receiver.url("/credits")).await;
    alice.chooses("Format", "The event as JSON").await;
    alice.ticks("Credits").await;
    alice.presses("Save").await;
    alice.sees("Check that a request is ours").await;
    alice.presses("Done").await;

    alice.presses("E-mails").await;
    alice.presses("Add an e-mail notification").await;
    alice.ticks("The whole organisation Acme").await;
    alice.fills("Other addresses", "treasurer@bank.example").await;
    alice.fills("Name", "Credits").await;
    alice.ticks("Credits").await;
    alice.presses("Save").await;
    alice.sees("Added.").await;

    let credits =
        json!({"ownerId": acme, "amount": 7.5, "currency": "EUR", "threshold": 10.0, "daysLeft": 4});
    let event = world.emit("CREDITS_WARNING", &acme, credits).await;
    world.settled(&acme).await;
    let came = world.receiver.at("/credits");
    assert_eq!(came.len(), 1, "{came:#?}");
    assert!(came[0].signed && came[0].body["id"] == event.as_str(), "{came:#?}");
    let data: Value = serde_json::from_str(came[0].body["data"].as_str().unwrap()).unwrap();
    assert_eq!(data["daysLeft"], 4, "{came:#?}");
    let letters = world.letters("treasurer@bank.example");
    assert_eq!(letters.len(), 1, "{letters:#?}");
    assert!(letters[0].contains("Subject: [Acme] Credits of Acme are running low"), "{}", letters[0]);
    alice.leaves().await;
}

/// Each example in each way is a test of its own.
macro_rules! in_every_way {
    ($($example:ident: $usual:ident, $plain:ident, $narrow:ident, $keys:ident;)+) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $usual() {
            within($example(Way::Usual)).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $plain() {
            within($example(Way::Plain)).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $narrow() {
            within($example(Way::Narrow)).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $keys() {
            within($example(Way::Keys)).await;
        }
    )+};
}

in_every_way! {
    slack_deployment_results:
        slack_is_told_the_results_of_deployments_once_its_url_is_pasted,
        slack_is_told_the_results_of_deployments_without_javascript,
        slack_is_told_the_results_of_deployments_from_a_narrow_window,
        slack_is_told_the_results_of_deployments_by_keyboard_alone;
    only_some_applications_by_mail:
        two_applications_are_written_about_and_a_third_is_not,
        two_applications_are_written_about_and_a_third_is_not_without_javascript,
        two_applications_are_written_about_and_a_third_is_not_from_a_narrow_window,
        two_applications_are_written_about_and_a_third_is_not_by_keyboard_alone;
    credits_warnings_to_a_web_service:
        a_warning_about_credits_reaches_a_service_and_a_mailbox,
        a_warning_about_credits_reaches_a_service_and_a_mailbox_without_javascript,
        a_warning_about_credits_reaches_a_service_and_a_mailbox_from_a_narrow_window,
        a_warning_about_credits_reaches_a_service_and_a_mailbox_by_keyboard_alone;
}
