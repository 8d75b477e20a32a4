//! Random operations against a small model in memory.

use std::collections::{BTreeMap, BTreeSet};

use sonnette_core::ids::{DeliveryId, DestinationId, EventId};
use sonnette_core::model::{Dead, Hook, HookState, Ingested, MINUTE, Role, SECOND, State, Target, Way};
use sonnette_core::ports::{Changed, Page, Recorded, Resent, Turn, Verdict, Work};

use super::{OWNER, World, everybody};

/// Vigna's splitmix64: enough to choose what is tried, and the same for the same seed everywhere.
pub struct Dice(u64);

impl Dice {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number less than `sides`; 0 if there are none.
    pub fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % (sides.max(1) as u64)).expect("less than a usize")
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}

/// What we know without asking the store.
#[derive(Default)]
struct Model {
    /// Hooks that are not deleted, as they should be.
    hooks: Vec<Hook>,
    /// Webhook destinations each accepted event owes.
    owed: BTreeMap<EventId, BTreeSet<DestinationId>>,
    /// Delivered, and not resent since.
    delivered: BTreeSet<DeliveryId>,
    /// Leased, and neither recorded nor released.
    out: Vec<Work>,
}

impl Model {
    fn accepted(&mut self, event: EventId) {
        let webhooks = self.hooks.iter().filter(|hook| matches!(hook.way, Way::Webhook { .. }));
        self.owed.insert(event, webhooks.flat_map(Hook::destination_ids).collect());
    }
}

/// Runs a few hundred random operations, for several seeds, with restarts and lost tickets among them. After each
/// stretch: every delivery ends, has a due time or is held, the tallies are the counts, and nothing is lost. At the end
/// every hook is resumed and what is due is delivered: then nothing may be left waiting.
pub async fn whatever_is_done_nothing_is_lost_and_everything_ends(mut world: World) {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let mut model = Model::default();
        // A few long runs, and many short ones: what one operation forgets, the next ones soon bring up again.
        let stretches = if seed < 4 { 10 } else { 1 + seed % 2 };
        for stretch in 0..stretches {
            for _ in 0..40 {
                step(&mut world, &mut model, &mut dice).await;
            }
            // Every other seed goes without: a restart would find again what memory forgot.
            if seed % 2 == 0 && stretch % 3 == 2 {
                world.reopen();
                model.out.clear();
            }
            agree(&world, &model, seed).await;
        }
        drain(&mut world, &mut model).await;
        agree(&world, &model, seed).await;
        for delivery in world.of_owner().await {
            assert!(!delivery.state.is_live(), "seed {seed}: {delivery:?} is left");
            assert!(!matches!(delivery.state, State::Held(_)), "seed {seed}: {delivery:?} is left");
        }
        // The next seed begins without hooks; what there was stays.
        for hook in model.hooks {
            assert_eq!(world.store().delete_hook(hook.id).await.expect("deleted"), Changed::Done);
        }
        world.settle().await;
        world.now += MINUTE;
        world.tidy(world.now, world.now).await;
        assert!(world.of_owner().await.is_empty());
    }
}

async fn step(world: &mut World, model: &mut Model, dice: &mut Dice) {
    match dice.below(17) {
        0..=3 => {
            let kinds = ["GIT_PUSH", "DEPLOYMENT_SUCCESS", "HOOK_FAILING"];
            let drafts = (0..=dice.below(3)).map(|_| world.draft(kinds[dice.below(3)])).collect();
            for ingested in world.ingest(drafts).await {
                let Ingested::Accepted(id) = ingested else { panic!("{ingested:?}") };
                model.accepted(id);
            }
        }
        4..=6 => lease(world, model, dice).await,
        7..=9 => bring_back(world, model, dice).await,
        10 => add_or_delete(world, model, dice).await,
        11 | 12 => {
            let turn = [Turn::Pause, Turn::CatchUp, Turn::Skip][dice.below(3)];
            let at = dice.below(model.hooks.len());
            if let Some(hook) = model.hooks.get_mut(at) {
                hook.state = if turn == Turn::Pause { HookState::Paused } else { HookState::Enabled };
                let hook = hook.clone();
                world.turn(&hook, turn).await;
                assert_eq!(world.view(&hook).await.hook, hook);
            }
        }
        13 => edit(world, model, dice).await,
        14 => {
            let ids: Vec<_> = world.of_owner().await.into_iter().map(|delivery| delivery.id).collect();
            if let Some(id) = dice.pick(&ids)
                && world.store().resend(*id, world.now).await.expect("answered") == Resent::Due
            {
                model.delivered.remove(id);
            }
        }
        15 => give_up(world, model, dice).await,
        _ => {
            world.store().tidy(world.now, 0, 0).await.expect("tidied");
            // Long enough, now and then, for tickets to lapse.
            world.now += [1, SECOND, 7 * MINUTE][dice.below(3)];
        }
    }
}

/// Tells of and gives up what is held of events a while ago: only hooks that do not tell hold anything.
async fn give_up(world: &World, model: &Model, dice: &mut Dice) {
    let before = world.now - [0, SECOND, 7 * MINUTE][dice.below(3)];
    let page = Page { after: None, limit: 1 + dice.below(3) };
    let mut told_now = BTreeSet::new();
    for one in world.store().holding(before, page).await.expect("read") {
        let hook = model.hooks.iter().find(|hook| hook.id == one.hook);
        let hook = hook.unwrap_or_else(|| panic!("{one:?} is of a hook that was deleted"));
        assert_eq!(hook.state, HookState::Paused, "{one:?}");
        assert!(hook.destination_ids().contains(&one.destination) && one.oldest.at() < before, "{one:?}");
        if dice.below(2) == 0 {
            let mut draft = world.draft("HELD_EXPIRING");
            draft.about_hook = Some(one.hook);
            let told = world.store().tell_held(one.hook, draft, world.now).await.expect("answered");
            assert_eq!(told, !one.told && told_now.insert(one.hook), "{one:?}");
        }
        world.store().give_up_held(one.destination, before).await.expect("given up");
    }
}

async fn lease(world: &World, model: &mut Model, dice: &mut Dice) {
    let max = 1 + dice.below(8);
    let leased = world.store().lease(world.now, max).await.expect("leased").work;
    assert!(leased.len() <= max);
    model.out.retain(|work| work.ticket.good_until >= world.now);
    for work in leased {
        let id = work.ticket.delivery;
        assert!(model.out.iter().all(|out| out.ticket.delivery != id), "{id} is out already");
        assert!(!model.delivered.contains(&id), "{id} was delivered");
        if let Some(loaded) = &work.hook {
            let hook = model.hooks.iter().find(|hook| hook.id == loaded.hook.id);
            let hook = hook.unwrap_or_else(|| panic!("{id} is of a hook that was deleted"));
            assert_eq!(&loaded.hook, hook, "leased with the hook as it is");
            assert_eq!(hook.state, HookState::Enabled);
            assert!(hook.destination_ids().contains(&work.destination));
        }
        model.out.push(work);
    }
}

async fn bring_back(world: &World, model: &mut Model, dice: &mut Dice) {
    if model.out.is_empty() {
        return;
    }
    let work = model.out.swap_remove(dice.below(model.out.len()));
    if work.unresolved {
        world.resolve(&work).await;
        return;
    }
    let verdict = match dice.below(6) {
        0 => return world.store().release(work.ticket),
        1 => return,
        2 => Verdict::Again(world.now + [0, SECOND, MINUTE][dice.below(3)]),
        3 => Verdict::End(State::Dead(Dead::Refused)),
        _ => Verdict::End(State::Delivered),
    };
    let recorded = world.record(&work, verdict).await;
    if recorded == Recorded::Done && verdict == Verdict::End(State::Delivered) {
        model.delivered.insert(work.ticket.delivery);
    }
}

async fn add_or_delete(world: &mut World, model: &mut Model, dice: &mut Dice) {
    if model.hooks.len() > dice.below(6) {
        let hook = model.hooks.remove(dice.below(model.hooks.len()));
        assert_eq!(world.store().delete_hook(hook.id).await.expect("deleted"), Changed::Done);
        return;
    }
    let admins = Target::Organisation { roles: BTreeSet::from([Role::Admin]) };
    let hook = match dice.below(4) {
        0 => world.mail(vec![everybody()]),
        1 => world.mail(vec![admins, Target::Addresses(vec!["ops@example.org".to_owned()])]),
        destinations => world.webhook(destinations),
    };
    world.add(&hook).await;
    model.hooks.push(hook);
}

async fn edit(world: &mut World, model: &mut Model, dice: &mut Dice) {
    let at = dice.below(model.hooks.len());
    let fresh = world.destination();
    let Some(hook) = model.hooks.get_mut(at) else { return };
    match &mut hook.way {
        Way::Webhook { destinations } => {
            if dice.below(2) == 0 {
                destinations.remove(dice.below(destinations.len()));
            }
            if destinations.is_empty() || dice.below(2) == 0 {
                destinations.push(fresh);
            }
        }
        Way::Email { targets, .. } => *targets = vec![everybody()],
    }
    let hook = hook.clone();
    assert_eq!(world.store().replace_hook(hook.clone(), world.now).await.expect("replaced"), Changed::Done);
    assert_eq!(world.view(&hook).await.hook, hook);
}

/// Asks the store whether it is as the model says.
async fn agree(world: &World, model: &Model, seed: u64) {
    world.check().await;
    let mut found: BTreeMap<EventId, BTreeSet<DestinationId>> = BTreeMap::new();
    let mut letters: BTreeMap<EventId, Vec<String>> = BTreeMap::new();
    let all = world.of_owner().await;
    for delivery in &all {
        if delivery.format == "email" {
            let reached = !matches!(delivery.state, State::Cancelled(_));
            letters.entry(delivery.id.event).or_default().extend(
                delivery.recipient.iter().filter(|_| reached).map(|recipient| recipient.address.clone()),
            );
        } else {
            let new = found.entry(delivery.id.event).or_default().insert(delivery.destination);
            assert!(new, "seed {seed}: {delivery:?} is owed twice");
        }
    }
    for (event, owed) in &model.owed {
        assert!(world.store().event(*event).await.expect("read").is_some(), "seed {seed}: {event} is lost");
        assert_eq!(found.get(event).unwrap_or(&BTreeSet::new()), owed, "seed {seed}: of {event}");
    }
    for delivery in all.iter().filter(|delivery| model.delivered.contains(&delivery.id)) {
        assert_eq!(delivery.state, State::Delivered, "seed {seed}: {delivery:?}");
    }
    for view in world.store().hooks(OWNER).await.expect("listed") {
        assert!(model.hooks.contains(&view.hook), "seed {seed}: {:?}", view.hook);
    }
}

/// Resumes every hook, lets every ticket lapse, and delivers whatever is due until nothing is: once before the house
/// releases what is held, so that what it releases has to be told by itself.
async fn drain(world: &mut World, model: &mut Model) {
    for hook in &mut model.hooks {
        hook.state = HookState::Enabled;
        world.turn(hook, Turn::CatchUp).await;
    }
    world.now += 10 * MINUTE;
    deliver_all(world, model).await;
    world.settle().await;
    deliver_all(world, model).await;
}

async fn deliver_all(world: &World, model: &mut Model) {
    loop {
        let leased = world.lease().await;
        if leased.is_empty() {
            return;
        }
        for work in leased {
            if work.unresolved {
                world.resolve(&work).await;
            } else {
                world.deliver(&work).await;
                model.delivered.insert(work.ticket.delivery);
            }
        }
    }
}
