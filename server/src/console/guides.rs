//! Where to get the URL of each service, in two or three steps.

use super::words::Lang;

/// The steps for a format, if there is something to say.
pub(super) fn steps(lang: Lang, format: &str) -> &'static [&'static str] {
    match (lang, format) {
        (Lang::En, "raw") => &[
            "Give your own service an address that takes POST requests with JSON.",
            "Paste that address. After adding it you get the secret that requests are signed with, and code to check it.",
        ],
        (Lang::Fr, "raw") => &[
            "Donnez à votre service une adresse qui accepte des requêtes POST en JSON.",
            "Collez cette adresse. Après l’ajout vous recevez le secret qui signe les requêtes, et le code pour le vérifier.",
        ],
        (Lang::En, "slack") => &[
            "On api.slack.com/apps create an app for your workspace and switch on Incoming Webhooks.",
            "Choose Add New Webhook, and the channel to post to.",
            "Copy the URL that begins with https://hooks.slack.com/services/.",
        ],
        (Lang::Fr, "slack") => &[
            "Sur api.slack.com/apps créez une application pour votre espace et activez Incoming Webhooks.",
            "Choisissez Add New Webhook, puis le canal où poster.",
            "Copiez l’URL qui commence par https://hooks.slack.com/services/.",
        ],
        (Lang::En, "discord") => &[
            "In Discord open the settings of the channel, then Integrations.",
            "Choose Webhooks, New Webhook, then Copy Webhook URL.",
        ],
        (Lang::Fr, "discord") => &[
            "Dans Discord ouvrez les paramètres du salon, puis Intégrations.",
            "Choisissez Webhooks, Nouveau webhook, puis Copier l’URL du webhook.",
        ],
        (Lang::En, "teams") => &[
            "In Teams open the menu of the channel and choose Workflows.",
            "Choose “Post to a channel when a webhook request is received” and finish it.",
            "Copy the URL it shows at the end.",
        ],
        (Lang::Fr, "teams") => &[
            "Dans Teams ouvrez le menu du canal et choisissez Workflows.",
            "Choisissez « Publier dans un canal à la réception d’une demande de webhook » et terminez.",
            "Copiez l’URL affichée à la fin.",
        ],
        (Lang::En, "mattermost") => &[
            "In Mattermost open the product menu, Integrations, Incoming Webhooks.",
            "Add one for the channel to post to, and copy its URL.",
        ],
        (Lang::Fr, "mattermost") => &[
            "Dans Mattermost ouvrez le menu, Intégrations, Webhooks entrants.",
            "Ajoutez-en un pour le canal où poster et copiez son URL.",
        ],
        (Lang::En, "rocketchat") => &[
            "In Rocket.Chat open Administration, Integrations, New, Incoming.",
            "Choose the channel, enable and save it, and copy the Webhook URL.",
        ],
        (Lang::Fr, "rocketchat") => &[
            "Dans Rocket.Chat ouvrez Administration, Intégrations, Nouveau, Entrant.",
            "Choisissez le canal, activez, enregistrez, puis copiez l’URL du webhook.",
        ],
        (Lang::En, "google-chat") => &[
            "In Google Chat open the space, then Apps & integrations.",
            "Choose Webhooks, add one, and copy its URL.",
        ],
        (Lang::Fr, "google-chat") => &[
            "Dans Google Chat ouvrez l’espace, puis Applications et intégrations.",
            "Choisissez Webhooks, ajoutez-en un et copiez son URL.",
        ],
        (Lang::En, "telegram") => &[
            "In Telegram write /newbot to @BotFather and take down the token of the bot.",
            "Add the bot to the chat; the chat’s number goes into the field below.",
        ],
        (Lang::Fr, "telegram") => &[
            "Dans Telegram écrivez /newbot à @BotFather et notez le jeton du bot.",
            "Ajoutez le bot à la discussion ; le numéro de la discussion va dans le champ ci-dessous.",
        ],
        (Lang::En, "ntfy") => &[
            "Choose a topic nobody guesses, on ntfy.sh or a server of your own, and subscribe to it.",
            "Its address is the URL, such as https://ntfy.sh/your-topic.",
        ],
        (Lang::Fr, "ntfy") => &[
            "Choisissez un sujet que personne ne devine, sur ntfy.sh ou votre serveur, et abonnez-vous.",
            "Son adresse est l’URL, par exemple https://ntfy.sh/votre-sujet.",
        ],
        (Lang::En, "pagerduty") => &[
            "In PagerDuty open the service, then Integrations, and add Events API V2.",
            "Copy the integration key it shows into the field below.",
        ],
        (Lang::Fr, "pagerduty") => &[
            "Dans PagerDuty ouvrez le service, puis Integrations, et ajoutez Events API V2.",
            "Copiez la clé d’intégration affichée dans le champ ci-dessous.",
        ],
        (Lang::En, "flowdock") => &[
            "Flowdock is closed; servers that speak its API give URLs such as https://…/v1/messages/chat/TOKEN.",
            "Copy the URL with the token of the flow.",
        ],
        (Lang::Fr, "flowdock") => &[
            "Flowdock est fermé ; des serveurs qui parlent son API donnent des URL telles que https://…/v1/messages/chat/JETON.",
            "Copiez l’URL avec le jeton du flux.",
        ],
        (Lang::En, "gitter") => &[
            "In the settings of the room open Integrations and add a custom one.",
            "Copy the URL that begins with https://webhooks.gitter.im/e/.",
        ],
        (Lang::Fr, "gitter") => &[
            "Dans les paramètres du salon ouvrez Integrations et ajoutez-en une personnalisée.",
            "Copiez l’URL qui commence par https://webhooks.gitter.im/e/.",
        ],
        (Lang::En, "zulip") => &[
            "In Zulip open Personal settings, Bots, and add a bot of the type Generic; subscribe it to the channel.",
            "The URL is https://YOUR-ORGANISATION/api/v1/messages; the bot’s address and key go into the fields below.",
        ],
        (Lang::Fr, "zulip") => &[
            "Dans Zulip ouvrez Paramètres personnels, Bots, ajoutez un bot générique et abonnez-le au canal.",
            "L’URL est https://VOTRE-ORGANISATION/api/v1/messages ; l’adresse et la clé du bot vont dans les champs ci-dessous.",
        ],
        (Lang::En, "matrix") => &[
            "Make an account for notifications, let it join the room, and copy its access token and the room’s internal id.",
            "The URL is the homeserver, such as https://matrix.example.org.",
            "With hookshot, write !hookshot webhook in the room instead and copy the URL it gives: it needs no field.",
        ],
        (Lang::Fr, "matrix") => &[
            "Créez un compte pour les notifications, faites-le entrer dans le salon, puis copiez son jeton d’accès et l’identifiant interne du salon.",
            "L’URL est le serveur, par exemple https://matrix.example.org.",
            "Avec hookshot, écrivez plutôt !hookshot webhook dans le salon et copiez l’URL donnée : aucun champ n’est nécessaire.",
        ],
        (Lang::En, "gotify") => &[
            "In Gotify open Apps and create an application.",
            "The URL is https://YOUR-SERVER/message; the application’s token goes into the field below.",
        ],
        (Lang::Fr, "gotify") => &[
            "Dans Gotify ouvrez Apps et créez une application.",
            "L’URL est https://VOTRE-SERVEUR/message ; le jeton de l’application va dans le champ ci-dessous.",
        ],
        (Lang::En, "cloudevents") => &[
            "Give your own service an address that takes CloudEvents 1.0 over HTTP.",
            "Paste that address. Requests are signed; after adding it you get the secret.",
        ],
        (Lang::Fr, "cloudevents") => &[
            "Donnez à votre service une adresse qui accepte CloudEvents 1.0 sur HTTP.",
            "Collez cette adresse. Les requêtes sont signées ; après l’ajout vous recevez le secret.",
        ],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use sonnette_core::formats::FORMATS;

    use super::*;

    #[test]
    fn every_format_says_where_to_get_its_url_in_both_languages() {
        for format in FORMATS {
            for lang in Lang::ALL {
                assert!((2..=3).contains(&steps(*lang, format.name).len()), "{} {lang:?}", format.name);
            }
        }
    }
}
