//! The three things a person is most likely to come for, each done in every way people have.

use serde_json::json;

use crate::person::{Person, Way};
use crate::world::World;

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
    alice.sees("Deployment of web failed").await;
    alice.presses("Save").await;
    alice.sees("Secret of “To Slack”").await;
    alice.presses("Done").await;
    alice.sees("To Slack").await;
    alice.does_not_see("wJalrXUtnFEMIK7MDENGbPxR").await;

    // Slack itself is not called from here: its double listens on the loopback.
    let door = "/services/T00000000/B00000000/double";
    alice.presses("Edit: To Slack").await;
    alice.fills("Webhook URL", &world.receiver.url(door)).await;
    alice.presses("Save").await;
    alice.sees("Saved.").await;

    world.deployed("DEPLOYMENT_SUCCESS", &acme, &web, "web").await;
    world.emit("CREDITS_ADDED", &acme, json!({"ownerId": acme, "amount": 20.0, "currency": "EUR"})).await;
    world.settled(&acme).await;
    let came = world.receiver.at(door);
    assert_eq!(came.len(), 1, "the deployment, and nothing else: {came:#?}");
    assert!(came[0].body["text"].as_str().unwrap().starts_with("Deployment of web succeeded"), "{came:#?}");
    alice.presses("Deliveries").await;
    alice.presses("Deployment succeeded").await;
    alice.sees("Attempt 1").await;
    alice.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_is_told_the_results_of_deployments_once_its_url_is_pasted() {
    slack_deployment_results(Way::Usual).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_is_told_without_javascript() {
    slack_deployment_results(Way::Plain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_is_told_from_a_narrow_window() {
    slack_deployment_results(Way::Narrow).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_is_told_by_keyboard_alone() {
    slack_deployment_results(Way::Keys).await;
}
