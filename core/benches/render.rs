//! How long a message takes to become a request, in every format there is. Building the message is a line of its own.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sonnette_core::catalogue::Catalogue;
use sonnette_core::formats::{FORMATS, Field, Format, Rendering};
use sonnette_core::ids::DeliveryId;
use sonnette_core::lang::Lang;
use sonnette_core::message::{self, LinkTemplate, LinkTemplates};
use sonnette_core::model::Fields;
use sonnette_core::ports::Names;
use sonnette_core::secret::Secret;

/// The server's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Values one of which every field takes that a format cannot do without.
const VALUES: &[&str] = &[
    "x",
    "123456789",
    "!room:example.org",
    "bot@example.org",
    "0123456789abcdef0123456789abcdef",
    "123456789:AAexample",
];

fn fields(format: &Format) -> Fields {
    let taken = |field: &Field| VALUES.iter().find(|value| (field.check)(value).is_ok());
    let needed = format.fields.iter().filter(|field| field.required);
    needed.filter_map(|field| Some((field.name.to_owned(), Secret::new(*taken(field)?)))).collect()
}

/// A deployment that failed: the sample with the most to say.
#[expect(clippy::unwrap_used, reason = "a bench of nothing shall not pass for one")]
fn render(criterion: &mut Criterion) {
    let catalogue = Catalogue::builtin().unwrap();
    let event = catalogue.find("DEPLOYMENT_FAIL").unwrap().1.sample_event();
    let names =
        Names { owner: Some("ACME".into()), resource: Some("shop-api".into()), author: Some("Alice".into()) };
    let template = |path: &str| LinkTemplate::parse(&format!("https://console.example/{path}")).ok();
    let links = LinkTemplates {
        application: template("{owner}/{resource}"),
        deployment: template("{owner}/{resource}/{deployment}"),
        owner: template("{owner}"),
        event: None,
    };
    let message = message::of(&catalogue, &event, &names, &links, Lang::En);
    let url = Secret::new("https://relay.example/hooks/0123456789abcdef");
    let mut group = criterion.benchmark_group("render");
    for format in FORMATS {
        let fields = fields(format);
        let delivery = DeliveryId { event: event.id, n: 0 };
        let it =
            Rendering { url: &url, fields: &fields, event: &event, delivery, thread: None, plainly: false };
        group.bench_function(format.name, |bencher| {
            bencher.iter_batched(
                || message.clone(),
                |message| format.request(black_box(&it), || message),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.bench_function("(the message itself)", |bencher| {
        bencher.iter(|| message::of(black_box(&catalogue), black_box(&event), &names, &links, Lang::En));
    });
    group.finish();
}

criterion_group!(benches, render);
criterion_main!(benches);
