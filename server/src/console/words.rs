//! Every word of the console, English and French side by side: one list, so that neither language can lack one.

use std::fmt::Display;

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

pub(crate) use sonnette_core::lang::Lang;

/// What somebody we do not know reads: the first of their browser's languages that we speak. Browsers list them best first
/// (RFC 9110, section 12.5.4).
pub(super) fn asked(headers: &HeaderMap) -> Lang {
    let asked = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let spoken = asked.split(',').map(|one| one.split(';').next().unwrap_or_default().trim()).find(|tag| {
        let primary = tag.split('-').next().unwrap_or_default();
        Lang::ALL.iter().any(|lang| lang.as_str().eq_ignore_ascii_case(primary))
    });
    Lang::of(spoken.unwrap_or_default())
}

/// Makes one method of [`Words`] for each line: `name: "English" / "French";`, or `name(argument): …` with `{argument}` in both.
macro_rules! words {
    ($($name:ident $(($($arg:ident),+))? : $en:literal / $fr:literal;)+) => {
        /// Words, as a language has them.
        pub(crate) trait Words: Sized {
            /// What people call a kind, a family, a category or a role of this name, if it is one of ours.
            fn named(self, word: &str) -> Option<&'static str>;
            /// A whole number as people write it.
            fn count(self, number: u64) -> String;
            $(words!(@word $name $(($($arg),+))?);)+
        }

        impl Words for Lang {
            fn named(self, word: &str) -> Option<&'static str> {
                name(self, word)
            }

            fn count(self, number: u64) -> String {
                count(self, number)
            }

            $(words!(@one $name $(($($arg),+))? $en $fr);)+
        }
    };
    (@word $name:ident) => {
        fn $name(self) -> &'static str;
    };
    (@word $name:ident ($($arg:ident),+)) => {
        fn $name(self, $($arg: impl Display),+) -> String;
    };
    (@one $name:ident $en:literal $fr:literal) => {
        fn $name(self) -> &'static str {
            self.pick($en, $fr)
        }
    };
    (@one $name:ident ($($arg:ident),+) $en:literal $fr:literal) => {
        fn $name(self, $($arg: impl Display),+) -> String {
            match self { Lang::En => format!($en), Lang::Fr => format!($fr) }
        }
    };
}

words! {
    own_name: "English" / "Français";
    // the frame
    skip: "Skip to the content" / "Aller au contenu";
    main_navigation: "Notifications" / "Notifications";
    emails: "E-mails" / "E-mails";
    webhooks: "Webhooks" / "Webhooks";
    deliveries: "Deliveries" / "Envois";
    live: "Live" / "En direct";
    events: "Events" / "Événements";
    account: "My account" / "Mon compte";
    sign_out: "Sign out" / "Se déconnecter";
    personal_space: "Personal space" / "Espace personnel";
    organisations: "Organisations" / "Organisations";
    switch_owner: "Personal space and organisations" / "Espace personnel et organisations";
    your_account: "Your account" / "Votre compte";
    plain_open: "This page is not encrypted: whoever carries it can read it and act as you. Serve Sonnette over HTTPS." / "Cette page n’est pas chiffrée : quiconque la transporte peut la lire et agir à votre place. Servez Sonnette en HTTPS.";
    plain_here: "Not encrypted; fine on this machine." / "Non chiffré ; convient sur cette machine.";
    who_can(names): "Only {names} can change these notifications." / "Pour modifier ces notifications, adressez-vous à {names}.";
    who_can_none: "Your role here may read these notifications, not change them." / "Votre rôle permet ici de lire ces notifications, pas de les modifier.";
    and(first, last): "{first} and {last}" / "{first} et {last}";
    and_others(names, n): "{names} and {n} more" / "{names} et {n} autres";

    // signing in
    sign_in: "Sign in" / "Se connecter";
    sign_in_intro: "Give your e-mail address. We write you a link that signs you in, once, within ten minutes." / "Indiquez votre adresse e-mail. Nous vous envoyons un lien qui vous connecte, une seule fois, dans les dix minutes.";
    email_address: "E-mail address" / "Adresse e-mail";
    send_link: "Send me a link" / "Envoyez-moi un lien";
    not_an_address: "This is not an e-mail address." / "Ceci n’est pas une adresse e-mail.";
    link_sent: "Look into your mailbox" / "Regardez votre boîte";
    link_sent_to(address): "If {address} belongs to somebody here, a link is on its way to it. It opens once, within ten minutes." / "Si {address} appartient à quelqu’un ici, un lien lui parvient. Il s’ouvre une seule fois, dans les dix minutes.";
    link_sent_help: "Nothing there? Look among the spam, or ask again in a few minutes." / "Rien ? Regardez dans les indésirables, ou redemandez dans quelques minutes.";
    link_printed: "This server is being tried out: the link is also printed in its terminal." / "Ce serveur est à l’essai : le lien est aussi affiché dans son terminal.";
    another_address: "Use another address" / "Utiliser une autre adresse";
    too_many_links: "Too many links were asked for. Wait ten minutes, then ask again." / "Trop de liens ont été demandés. Attendez dix minutes, puis redemandez.";
    open_link: "One more step" / "Encore une étape";
    open_link_intro: "Press the button to sign in on this device. The link then closes." / "Appuyez sur le bouton pour vous connecter sur cet appareil. Le lien se ferme ensuite.";
    link_used: "This link was used already" / "Ce lien a déjà servi";
    link_used_intro: "A link signs in once. Ask for a new one below." / "Un lien ne connecte qu’une fois. Demandez-en un nouveau ci-dessous.";
    link_expired: "This link has expired" / "Ce lien a expiré";
    link_expired_intro: "A link lives ten minutes. Ask for a new one below." / "Un lien vit dix minutes. Demandez-en un nouveau ci-dessous.";
    signed_out: "You are signed out." / "Vous êtes déconnecté.";
    sign_in_at(name): "Sign in with {name}" / "Se connecter avec {name}";
    or_by_link: "Or by a link:" / "Ou par un lien :";
    provider_away: "Your provider did not answer" / "Votre fournisseur n’a pas répondu";
    provider_away_intro(name): "{name} did not answer, or not as it should. Try again in a moment, or sign in by a link, below." / "{name} n’a pas répondu, ou pas comme il devrait. Réessayez dans un instant, ou connectez-vous par un lien, ci-dessous.";
    provider_refused: "You are not signed in" / "Vous n’êtes pas connecté";
    provider_refused_intro(name): "What {name} sent back could not be confirmed, or was used already. Begin again." / "La réponse de {name} n’a pas pu être confirmée, ou a déjà servi. Recommencez.";
    provider_declined: "You are not signed in" / "Vous n’êtes pas connecté";
    provider_declined_intro(name): "{name} did not sign you in, or you called it off. You can begin again." / "{name} ne vous a pas connecté, ou vous avez renoncé. Vous pouvez recommencer.";
    provider_stale_title: "This sign-in is over" / "Cette connexion est terminée";
    provider_stale(name): "It took longer than ten minutes, was used already, or was begun in another browser. Begin again with {name}, or by a link." / "Elle a duré plus de dix minutes, a déjà servi, ou a commencé dans un autre navigateur. Recommencez avec {name}, ou par un lien.";
    provider_no_address(name): "{name} told us no e-mail address of yours, which is what you are known by here. Ask whoever runs it to share it, or sign in by a link." / "{name} ne nous a donné aucune adresse e-mail, par laquelle vous êtes connu ici. Demandez à ses responsables de la partager, ou connectez-vous par un lien.";
    provider_unverified(name, address): "{name} has not verified that {address} is yours. Verify it there, then sign in again; or sign in by a link, which verifies it too." / "{name} n’a pas vérifié que {address} est à vous. Faites-la vérifier là-bas, puis reconnectez-vous ; ou connectez-vous par un lien, qui la vérifie aussi.";
    provider_unknown: "Nobody here has your address" / "Personne ici n’a votre adresse";
    provider_unknown_intro(address): "You are signed in there as {address}, but nobody here has this address, and nothing was created. Only an operator of this server can add you: ask those who run it to add {address}, then sign in again." / "Vous y êtes connecté en tant que {address}, mais personne ici n’a cette adresse, et rien n’a été créé. Seul un opérateur de ce serveur peut vous ajouter : demandez à ses responsables d’ajouter {address}, puis reconnectez-vous.";
    too_many_sign_ins: "Too many sign-ins come from your network. Wait ten minutes, or sign in by a link." / "Trop de connexions viennent de votre réseau. Attendez dix minutes, ou connectez-vous par un lien.";
    session_over: "Sign in to go on. You come back to the page you asked for." / "Connectez-vous pour continuer. Vous reviendrez à la page demandée.";

    // links in letters
    stop_letters: "No more of these e-mails?" / "Ne plus recevoir ces e-mails ?";
    stop_letters_intro(address, hook, owner): "{address} gets “{hook}” of {owner}. Only this address stops; everything else goes on." / "{address} reçoit « {hook} » de {owner}. Seule cette adresse s’arrête ; tout le reste continue.";
    stop_letters_do: "Stop them" / "Les arrêter";
    letters_stopped: "Stopped" / "Arrêtés";
    letters_stopped_intro(address, hook, owner): "{address} gets no more of “{hook}” of {owner}." / "{address} ne reçoit plus « {hook} » de {owner}.";
    letters_again_do: "Undo: send them again" / "Annuler : les recevoir à nouveau";
    letters_again: "They come again" / "Ils reviennent";
    letters_again_intro(address, hook, owner): "{address} gets “{hook}” of {owner} again." / "{address} reçoit à nouveau « {hook} » de {owner}.";
    letters_locked: "Warnings nobody can refuse, such as a webhook that was switched off, still come." / "Les avertissements que personne ne peut refuser, comme un webhook désactivé, arrivent toujours.";
    manage_mail: "Manage all your e-mails" / "Gérer tous vos e-mails";
    letters_gone: "These e-mails have ended already" / "Ces e-mails ont déjà pris fin";
    letters_gone_intro: "What sent them was deleted. Nothing more comes of it." / "Ce qui les envoyait a été supprimé. Plus rien n’en vient.";
    letter_link_unknown: "This link is not complete" / "Ce lien est incomplet";
    letter_link_unknown_intro: "Open it from the e-mail itself: some programs break long links." / "Ouvrez-le depuis l’e-mail lui-même : certains programmes coupent les longs liens.";
    confirm_address: "Get these notifications?" / "Recevoir ces notifications ?";
    confirm_address_intro(owner, address): "{owner} wants to send notifications to {address}. Nothing is sent before you agree. If you do not want any, close this page." / "{owner} souhaite envoyer des notifications à {address}. Rien n’est envoyé avant votre accord. Si vous n’en voulez pas, fermez cette page.";
    confirm_address_do: "Yes, send them" / "Oui, les envoyer";
    address_confirmed: "Confirmed" / "Confirmé";
    address_confirmed_intro(address): "What waited for {address} is on its way. Every e-mail has a link that stops it." / "Ce qui attendait {address} est en route. Chaque e-mail porte un lien qui l’arrête.";
    confirmed_before: "Confirmed already" / "Déjà confirmé";
    confirmed_before_intro(address): "{address} gets these notifications: there is nothing more to do. Every e-mail has a link that stops it." / "{address} reçoit ces notifications : il n’y a plus rien à faire. Chaque e-mail porte un lien qui l’arrête.";
    confirm_too_late: "This link no longer works" / "Ce lien ne fonctionne plus";
    confirm_too_late_intro: "It was good for seven days, or another one was sent since. Whoever wanted to notify you can ask again." / "Il était valable sept jours, ou un autre a été envoyé depuis. Ceux qui voulaient vous prévenir peuvent redemander.";
    somebody: "Somebody" / "Quelqu’un";
    unconfirmed(addresses): "Not confirmed yet: {addresses}" / "Pas encore confirmé : {addresses}";
    stopped_by(addresses): "Stopped by {addresses}" / "Arrêté par {addresses}";
    unconfirmed_title: "Not confirmed yet" / "Pas encore confirmé";
    unconfirmed_help: "A letter asked them whether they want these e-mails. Until they say so what is for them is held, for seven days." / "Une lettre leur a demandé s’ils veulent ces e-mails. Jusqu’à leur réponse, ce qui leur est destiné est retenu, sept jours.";
    stopped_title: "Stopped by its readers" / "Arrêté par ses lecteurs";
    stopped_by_help: "Only they can start it again, by the link in their last e-mail of it or on their own page." / "Eux seuls peuvent le reprendre, par le lien de leur dernier e-mail ou sur leur propre page.";

    cli_title: "Log the command line in?" / "Connecter la ligne de commande ?";
    cli_intro: "The command line “clever” asks to act as you. A personal token is made for it; you can revoke it on your account’s page." / "La ligne de commande « clever » demande à agir à votre place. Un jeton personnel est créé pour elle ; vous pourrez le révoquer sur la page de votre compte.";
    cli_as: "As" / "En tant que";
    cli_version: "Version" / "Version";
    cli_address_ends: "Its address ends in" / "Son adresse finit par";
    cli_warning: "Agree only if you ran “clever login” yourself a moment ago, and the address your terminal printed ends like this." / "N’acceptez que si vous venez de lancer « clever login » vous-même, et si l’adresse affichée par votre terminal finit ainsi.";
    cli_agree: "Log it in" / "La connecter";
    cli_done: "The command line is logged in" / "La ligne de commande est connectée";
    cli_done_intro: "You can close this page and go back to your terminal." / "Vous pouvez fermer cette page et revenir à votre terminal.";
    cli_name(when): "clever login, {when}" / "clever login, {when}";

    // what can go wrong
    not_found: "There is nothing here" / "Il n’y a rien ici";
    not_found_intro: "What you look for is not there any more, or is not yours to see." / "Ce que vous cherchez n’existe plus, ou n’est pas à vous.";
    forbidden: "This is not for your role" / "Ceci n’est pas pour votre rôle";
    forbidden_intro: "Nothing was changed." / "Rien n’a été modifié.";
    stale_form: "This page was out of date" / "Cette page était périmée";
    stale_form_intro: "You signed in again, or out, since it was opened. Nothing was changed, and nothing is lost: go back, load the page again, and repeat what you did." / "Vous vous êtes reconnecté, ou déconnecté, depuis son ouverture. Rien n’a été modifié et rien n’est perdu : revenez en arrière, rechargez la page et refaites votre action.";
    forged: "This request came from another site" / "Cette demande vient d’un autre site";
    forged_intro: "It was refused, and nothing was changed. If you meant it, do it from here." / "Elle a été refusée, et rien n’a été modifié. Si vous la vouliez, faites-la d’ici.";
    trouble: "That did not work" / "Cela n’a pas marché";
    trouble_intro: "The server cannot do it now. Nothing that was saved is lost; try again in a moment." / "Le serveur ne peut pas le faire maintenant. Rien de ce qui est enregistré n’est perdu ; réessayez dans un instant.";
    refused: "That cannot be done" / "C’est impossible";
    back_home: "Back to the notifications" / "Retour aux notifications";


    // hooks
    add_email: "Add an e-mail notification" / "Ajouter une notification par e-mail";
    add_webhook: "Add a webhook" / "Ajouter un webhook";
    emails_intro: "Who is written to, and about what." / "À qui l’on écrit, et à propos de quoi.";
    webhooks_intro: "What is posted, where, and in which format." / "Ce qui est posté, où, et dans quel format.";
    no_emails: "No e-mail notifications" / "Aucune notification par e-mail";
    no_emails_intro: "Nobody is written to about what happens here. Add one to tell the whole organisation, some roles, some members or any address." / "Personne ne reçoit d’e-mail sur ce qui se passe ici. Ajoutez-en une pour prévenir toute l’organisation, certains rôles, certains membres ou une adresse.";
    no_webhooks: "No webhooks" / "Aucun webhook";
    no_webhooks_intro: "Have events posted to a chat or to a service of your own: paste its URL, choose what to be told of." / "Faites poster les événements dans une messagerie ou vers votre propre service : collez son URL et choisissez de quoi être prévenu.";
    none_match: "Nothing matches" / "Rien ne correspond";
    none_match_intro: "No notification has this name, URL or state." / "Aucune notification n’a ce nom, cette URL ou cet état.";
    show_all: "Show all" / "Tout afficher";
    search: "Search" / "Rechercher";
    search_hooks: "Search by name, URL or address" / "Rechercher par nom, URL ou adresse";
    state: "State" / "État";
    any_state: "Any state" / "Tous les états";
    enabled: "Enabled" / "Activé";
    paused: "Paused" / "En pause";
    disabled: "Disabled" / "Désactivé";
    disabled_why: "Disabled: no destination of it works any more." / "Désactivé : aucune de ses destinations ne fonctionne plus.";
    failing: "Failing" / "En échec";
    since: "since" / "depuis";
    held(n): "held: {n}" / "retenus : {n}";
    dead(n): "not delivered: {n}" / "non livrés : {n}";
    pause: "Pause" / "Mettre en pause";
    resume: "Resume" / "Reprendre";
    edit: "Edit" / "Modifier";
    delete: "Delete" / "Supprimer";
    secret: "Secret" / "Secret";
    of_hook(what, name): "{what}: {name}" / "{what} : {name}";
    to: "To" / "À";
    about: "Events" / "Événements";
    scope: "For" / "Pour";
    last_result: "Last result" / "Dernier résultat";
    last_results: "Last results" / "Derniers résultats";
    nothing_yet: "nothing sent yet" / "rien d’envoyé";
    result_delivered: "delivered" / "livré";
    result_dead: "not delivered" / "non livré";
    result_waiting: "waiting" / "en attente";
    result_cancelled: "cancelled" / "annulé";
    newest_first(results): "newest first: {results}" / "du plus récent : {results}";
    every_event: "Every event" / "Tous les événements";
    all_resources: "All applications and add-ons" / "Toutes les applications et add-ons";
    and_more(names, n): "{names} and {n} more" / "{names} et {n} de plus";
    whole_organisation: "the whole organisation" / "toute l’organisation";
    you: "you" / "vous";
    roles_of(roles): "members who are {roles}" / "membres {roles}";
    previous: "Previous" / "Précédent";
    next: "Next" / "Suivant";
    said_added: "Added." / "Ajouté.";
    said_saved: "Saved." / "Enregistré.";
    said_paused: "Paused. What happens meanwhile is held." / "En pause. Ce qui arrive entre-temps est retenu.";
    said_resumed: "Resumed." / "Repris.";
    said_deleted: "Deleted." / "Supprimé.";

    // resuming, deleting
    resume_title(name): "Resume “{name}”" / "Reprendre « {name} »";
    resume_intro(n): "{n} deliveries were held while it was paused. What becomes of them?" / "{n} envois ont été retenus pendant la pause. Qu’en faire ?";
    catch_up: "Deliver them, oldest first" / "Les livrer, du plus ancien au plus récent";
    skip_held: "Skip them" / "Les abandonner";
    skip_hint: "They are cancelled and listed under Deliveries." / "Ils sont annulés et listés dans les envois.";
    delete_title(name): "Delete “{name}”?" / "Supprimer « {name} » ?";
    delete_intro: "Nothing more is sent by it, and what waits is cancelled. What was sent stays listed." / "Plus rien n’est envoyé par elle, et ce qui attend est annulé. Ce qui a été envoyé reste listé.";
    delete_default(events): "The members are no longer written to about: {events}. You can add an e-mail notification of your own at any time." / "Les membres ne recevront plus d’e-mail sur : {events}. Vous pouvez ajouter votre propre notification à tout moment.";
    delete_it: "Delete it" / "La supprimer";
    keep_it: "Keep it" / "La garder";

    // the form
    new_email: "New e-mail notification" / "Nouvelle notification par e-mail";
    new_webhook: "New webhook" / "Nouveau webhook";
    name: "Name" / "Nom";
    name_hint: "How you find it again." / "Pour la retrouver.";
    suggested_email: "E-mails of mine" / "Mes e-mails";
    suggested(format): "To {format}" / "Vers {format}";
    webhook_url: "Webhook URL" / "URL du webhook";
    webhook_url_n(n): "Webhook URL {n}" / "URL du webhook n° {n}";
    url_kept: "Kept as it is unless you type another one." / "Conservée telle quelle sauf si vous en saisissez une autre.";
    format: "Format" / "Format";
    recognised_from_url: "Recognised from the URL" / "Reconnu d’après l’URL";
    recognised(format): "Recognised: {format}" / "Reconnu : {format}";
    not_recognised: "This URL belongs to no service we know: the event is posted as JSON." / "Cette URL n’appartient à aucun service connu : l’événement est posté en JSON.";
    where_to_get: "Where to get such a URL" / "Où trouver une telle URL";
    another_url: "Add another URL" / "Ajouter une autre URL";
    remove_url: "Take this URL off when saving" / "Retirer cette URL à l’enregistrement";
    required: "required" / "obligatoire";
    kept_secret: "Kept secret. Leave the dots to keep it." / "Gardé secret. Laissez les points pour le conserver.";
    only_events: "Only send notification for these events" / "N’envoyer de notification que pour ces événements";
    only_events_hint: "None chosen means every event." / "Aucun choix signifie tous les événements.";
    families: "By subject" / "Par sujet";
    single_events: "Single events" / "Événements un à un";
    only_resources: "Only for these applications and add-ons" / "Seulement pour ces applications et add-ons";
    only_resources_hint: "None chosen means all of them, those created later too." / "Aucun choix signifie toutes, y compris celles créées plus tard.";
    find_resource: "Find an application or add-on" / "Trouver une application ou un add-on";
    no_resources: "There are no applications or add-ons here yet." / "Il n’y a pas encore d’application ni d’add-on ici.";
    more_resources(n): "{n} more: search to find them." / "{n} de plus : recherchez pour les trouver.";
    no_resource_matches: "No other application or add-on has this name." / "Aucune autre application ni add-on n’a ce nom.";
    resource_gone: "deleted" / "supprimé";
    recipients: "Recipients" / "Destinataires";
    everyone_in(name): "The whole organisation {name}" / "Toute l’organisation {name}";
    everyone_hint: "Whoever is a member when something happens, those who join later too." / "Tous les membres au moment de l’événement, y compris ceux qui arriveront plus tard.";
    yourself: "You" / "Vous";
    only_roles: "Only members of these roles" / "Seulement les membres ayant ces rôles";
    only_members: "Only these members" / "Seulement ces membres";
    addresses: "Other addresses" / "Autres adresses";
    addresses_hint: "One a line." / "Une par ligne.";
    find_member: "Find a member" / "Trouver un membre";
    save: "Save" / "Enregistrer";
    cancel: "Cancel" / "Annuler";
    look_again: "Refresh the preview" / "Actualiser l’aperçu";
    mend: "Some fields need another look. Nothing was saved yet." / "Certains champs sont à revoir. Rien n’est encore enregistré.";
    changed_meanwhile: "Somebody changed this notification since you opened it. What you typed is below; save again to replace their changes." / "Quelqu’un a modifié cette notification depuis que vous l’avez ouverte. Votre saisie est ci-dessous ; enregistrez à nouveau pour remplacer ses modifications.";
    deleted_meanwhile: "Somebody deleted this notification since you opened it. What you typed is below; save it as a new one." / "Quelqu’un a supprimé cette notification depuis que vous l’avez ouverte. Votre saisie est ci-dessous ; enregistrez-la comme une nouvelle.";
    session_changed: "You signed in again since this page was opened. What you typed is below; save again." / "Vous vous êtes reconnecté depuis l’ouverture de cette page. Votre saisie est ci-dessous ; enregistrez à nouveau.";

    // what can be wrong in the form
    wrong_name: "A name has 1 to 200 bytes." / "Un nom a de 1 à 200 octets.";
    wrong_url(why): "This URL cannot be used: it {why}." / "Cette URL ne peut pas être utilisée : {why}.";
    url_needed: "Paste the URL to post to." / "Collez l’URL vers laquelle poster.";
    url_masked: "Paste the whole URL: this one is masked." / "Collez l’URL entière : celle-ci est masquée.";
    wrong_format(why): "This does not fit the format: {why}." / "Cela ne convient pas au format : {why}.";
    wrong_recipients(why): "Check the recipients: {why}." / "Vérifiez les destinataires : {why}.";
    recipients_needed: "Choose at least one recipient." / "Choisissez au moins un destinataire.";
    wrong_address(address): "“{address}” is not an e-mail address." / "« {address} » n’est pas une adresse e-mail.";
    wrong_events: "One of these events does not exist any more; choose again." / "L’un de ces événements n’existe plus ; choisissez à nouveau.";
    wrong_scope: "One of these is not yours; choose again." / "L’un de ces éléments n’est pas à vous ; choisissez à nouveau.";
    too_many_scope: "At most 1,000 can be chosen; choose none to mean all." / "Au plus 1 000 peuvent être choisis ; n’en choisissez aucun pour tous.";
    too_many_hooks: "There are as many notifications as there may be; delete one first." / "Le nombre maximal de notifications est atteint ; supprimez-en une d’abord.";
    url_too_long: "must be at most 2,048 bytes long" / "elle doit faire au plus 2 048 octets";
    url_not_http: "must begin with http:// or https:// and a host" / "elle doit commencer par http:// ou https:// et un hôte";
    url_characters: "must not hold spaces, control characters or backslashes" / "elle ne doit contenir ni espace, ni caractère de contrôle, ni barre oblique inverse";
    url_userinfo: "must not hold a user name or a password" / "elle ne doit contenir ni nom d’utilisateur ni mot de passe";
    url_fragment: "must not hold a fragment (#…)" / "elle ne doit pas contenir de fragment (#…)";
    url_host: "must have a host that is a name or an IP address" / "son hôte doit être un nom ou une adresse IP";
    url_spelling: "must spell its host as it is meant" / "son hôte doit être écrit tel qu’il est";
    url_port(port): "must not use port {port}, which belongs to another protocol" / "elle ne doit pas utiliser le port {port}, qui appartient à un autre protocole";
    url_private(host): "points to {host}, which is not on the public Internet; only the operator can allow that" / "elle désigne {host}, qui n’est pas sur l’Internet public ; seul l’opérateur peut l’autoriser";

    // the preview
    preview: "Preview" / "Aperçu";
    preview_of_event: "Of the latest matching event" / "Du dernier événement correspondant";
    preview_of_sample: "Of a sample event: nothing that matches happened lately" / "D’un événement d’exemple : rien de correspondant récemment";
    subject: "Subject" / "Objet";
    html_letter: "The letter as HTML" / "Le message en HTML";
    text_letter: "The letter as plain text" / "Le message en texte brut";
    exact_request: "The exact request" / "La requête exacte";
    picture: "As it will look" / "L’apparence";
    by(name): "By {name}" / "Par {name}";
    preview_needs_url: "Paste a URL to see the exact request." / "Collez une URL pour voir la requête exacte.";
    preview_incomplete(why): "The request appears here once the form is complete: {why}" / "La requête s’affichera une fois le formulaire complet : {why}";

    // trying it out
    test: "Test" / "Tester";
    send_me_a_test: "Send me a test" / "M’envoyer un test";
    tested_title(name): "Test of “{name}”" / "Test de « {name} »";
    what_came: "What came of it" / "Ce qui en est sorti";
    test_failed: "Failed" / "Échec";
    test_again: "A delivery would be tried again." / "Un envoi serait réessayé.";
    test_counts_not: "A test is listed nowhere and counts as no failure." / "Un test n’est listé nulle part et ne compte pas comme un échec.";
    too_many_tests(n): "Too many tests in a minute. Try again in {n} s." / "Trop de tests en une minute. Réessayez dans {n} s.";
    tests_busy: "Too many tests are under way. Try again in a moment." / "Trop de tests sont en cours. Réessayez dans un instant.";
    time_name: "Name looked up" / "Résolution du nom";
    time_connect: "Connected" / "Connexion";
    time_tls: "TLS agreed" / "Négociation TLS";
    time_total: "In all" / "En tout";
    the_reply: "The reply" / "La réponse";
    what_was_sent: "What was sent" / "Ce qui a été envoyé";

    // the secret
    secret_of(name): "Secret of “{name}”" / "Secret de « {name} »";
    secret_intro: "Requests are signed with it, so that the receiver knows they are ours. Copy it now: it is shown for ten minutes, and never again." / "Les requêtes sont signées avec lui, pour que le destinataire sache qu’elles viennent de nous. Copiez-le maintenant : il est affiché pendant dix minutes, puis plus jamais.";
    secret_hidden: "The secret is not shown again. If it is lost, or somebody else has seen it, rotate it." / "Le secret n’est plus affiché. S’il est perdu, ou si quelqu’un d’autre l’a vu, renouvelez-le.";
    copy: "Copy" / "Copier";
    copied: "Copied" / "Copié";
    verify_title: "Check that a request is ours" / "Vérifier qu’une requête vient de nous";
    verify_intro: "Each of these checks the signature of a request against the secret (Standard Webhooks)." / "Chacun vérifie la signature d’une requête avec le secret (Standard Webhooks).";
    rotate: "Rotate the secret" / "Renouveler le secret";
    rotate_intro: "A new secret signs from now on. The old one signs too for a while, so that the receiver can change over." / "Un nouveau secret signe désormais. L’ancien signe aussi quelque temps, pour que le destinataire puisse changer.";
    overlap: "The old one stays valid for" / "L’ancien reste valable";
    overlap_none: "no time: it was seen by somebody else" / "plus du tout : quelqu’un d’autre l’a vu";
    overlap_hour: "one hour" / "une heure";
    overlap_day: "one day" / "un jour";
    overlap_week: "one week" / "une semaine";
    rotating_until: "The secret before still signs until" / "Le secret précédent signe encore jusqu’à";
    done: "Done" / "Terminé";

    // deliveries
    deliveries_intro: "What was sent, to whom, and how it went. The newest first." / "Ce qui a été envoyé, à qui, et avec quel résultat. Du plus récent au plus ancien.";
    undelivered: "Not delivered, and why" / "Non livrés, et pourquoi";
    undelivered_count(dead, held): "{dead} failed, {held} held" / "{dead} échoués, {held} retenus";
    undelivered_intro: "The latest deliveries that failed for good, and those that are held, by reason." / "Les derniers envois définitivement échoués et ceux qui sont retenus, par raison.";
    all_deliveries: "All deliveries" / "Tous les envois";
    all_delivered: "Everything was delivered" / "Tout a été livré";
    all_delivered_intro: "Nothing failed for good, and nothing is held." / "Rien n’a définitivement échoué, et rien n’est retenu.";
    notification: "Notification" / "Notification";
    event: "Event" / "Événement";
    resource: "Application or add-on" / "Application ou add-on";
    since_time: "From" / "À partir de";
    until_time: "Until" / "Jusqu’à";
    times_in(zone): "Times are in {zone}." / "Heures : {zone}.";
    filter: "Filter" / "Filtrer";
    no_such_hook: "No notification has this name, or several do." / "Aucune notification n’a ce nom, ou plusieurs l’ont.";
    no_such_resource: "No application or add-on has this name, or several do." / "Aucune application ni add-on n’a ce nom, ou plusieurs l’ont.";
    not_a_time: "This is not a date and time." / "Ceci n’est pas une date avec une heure.";
    no_delivery_matches: "No delivery fits these filters. What is older than the retention is forgotten." / "Aucun envoi ne correspond à ces filtres. Ce qui dépasse la durée de conservation est oublié.";
    no_deliveries: "Nothing was sent yet" / "Rien n’a encore été envoyé";
    no_deliveries_intro: "As soon as something happens that a notification asks for, its delivery is listed here." / "Dès que survient un événement demandé par une notification, son envoi apparaît ici.";
    pages: "Pages" / "Pages";
    newer: "Newer" / "Plus récents";
    older: "Older" / "Plus anciens";
    by_the_house: "To the administrators" / "Aux administrateurs";
    deleted_hook: "a deleted notification" / "une notification supprimée";
    not_resolved: "recipients not looked up yet" / "destinataires pas encore déterminés";
    by_email: "E-mail" / "E-mail";
    next_attempt: "Next attempt" / "Prochaine tentative";
    no_attempt: "no attempt" / "aucune tentative";
    one_attempt: "1 attempt" / "1 tentative";
    attempts(n): "{n} attempts" / "{n} tentatives";
    state_pending: "Waiting" / "En attente";
    state_retrying: "To be tried again" / "À réessayer";
    state_delivered: "Delivered" / "Livré";
    state_dead: "Not delivered" / "Non livré";
    state_held: "Held" / "Retenu";
    state_cancelled: "Cancelled" / "Annulé";
    dead_refused: "The receiver refused it for good." / "Le destinataire l’a refusé définitivement.";
    dead_gone: "The destination is gone." / "La destination n’existe plus.";
    dead_exhausted: "Every attempt failed, and the last one is made." / "Toutes les tentatives ont échoué, et la dernière est faite.";
    dead_expired: "It was held until it was too old." / "Il a été retenu jusqu’à être trop ancien.";
    held_paused: "The notification is paused." / "La notification est en pause.";
    held_disabled: "The notification is disabled." / "La notification est désactivée.";
    held_unconfirmed: "The address is not confirmed yet." / "L’adresse n’est pas encore confirmée.";
    held_ceiling: "The address gets as many letters as it may for now." / "L’adresse reçoit pour l’instant autant de messages que permis.";
    cancelled_hook_deleted: "The notification was deleted." / "La notification a été supprimée.";
    cancelled_destination_removed: "This URL was taken off the notification." / "Cette URL a été retirée de la notification.";
    cancelled_skipped: "It was skipped when the notification went on." / "Il a été abandonné à la reprise de la notification.";
    cancelled_by_hand: "Somebody cancelled it." / "Quelqu’un l’a annulé.";
    cancelled_recipient_left: "The person is no longer meant." / "La personne n’est plus concernée.";
    cancelled_no_recipient: "There was nobody to write to." / "Il n’y avait personne à qui écrire.";
    cancelled_unsubscribed: "The person does not want these letters." / "La personne ne veut pas de ces messages.";
    cancelled_suppressed: "The address does not take letters." / "L’adresse n’accepte pas de messages.";
    cancelled_duplicate_address: "The address got this event by another notification." / "L’adresse a reçu cet événement par une autre notification.";

    // one delivery, one event
    summary: "Summary" / "Résumé";
    resend: "Resend" / "Renvoyer";
    said_resent: "It is sent again now. Load the page again to see how it goes." / "Il est renvoyé maintenant. Rechargez la page pour voir le résultat.";
    said_waiting: "It waits to be tried already." / "Il attend déjà d’être essayé.";
    said_nowhere: "Its notification or its URL is gone or paused: resume the notification instead." / "Sa notification ou son URL n’existe plus ou est en pause : reprenez plutôt la notification.";
    attempts_made: "Attempts" / "Tentatives";
    attempts_title: "Attempts, the last first" / "Tentatives, de la dernière à la première";
    attempt_n(n): "Attempt {n}" / "Tentative {n}";
    no_attempt_yet: "None was made yet." / "Aucune n’a encore été faite.";
    attempt_succeeded: "succeeded" / "réussie";
    attempt_failed: "failed" / "échouée";
    reply_begins: "How the reply begins" / "Début de la réponse";
    tried_again: "Tried again" / "Réessayé";
    will_be_tried: "It will be tried again" / "Nouvelle tentative";
    tried_when_released: "It will be tried again when the notification goes on" / "Nouvelle tentative à la reprise de la notification";
    not_tried_again: "It will not be tried again by itself" / "Il ne sera pas réessayé de lui-même";
    delivery_id: "Delivery" / "Envoi";
    request_intro: "Made again from the stored event, for the destination as it is now. Credentials are left out; timestamp and signature are each attempt’s own." / "Refaite à partir de l’événement conservé, pour la destination telle qu’elle est. Les secrets sont omis ; horodatage et signature sont propres à chaque tentative.";
    accepted: "Accepted" / "Accepté";
    author: "By" / "Par";
    event_id: "Event id" / "Identifiant";
    what_became: "What became of it" / "Ce qu’il en est advenu";
    nothing_owed: "Nothing was owed by these notifications" / "Rien n’était dû par ces notifications";
    nothing_owed_at_all: "No notification owed anything for this event." / "Aucune notification ne devait rien pour cet événement.";
    raw_frame: "The frame as sent" / "La trame telle qu’envoyée";
    cut_here: "Cut here: the frame holds the rest." / "Coupé ici : la trame contient la suite.";

    // live
    live_intro: "What happens here, as it happens. The newest first." / "Ce qui se passe ici, au fur et à mesure. Du plus récent au plus ancien.";
    live_connecting: "Connecting" / "Connexion";
    live_on: "Live" / "En direct";
    live_again: "Connecting again; nothing will be missed" / "Reconnexion ; rien ne sera manqué";
    live_off: "Not connected; trying again in 10 s" / "Non connecté ; nouvel essai dans 10 s";
    live_gap: "Some events were forgotten before they could be shown here." / "Certains événements ont été oubliés avant de pouvoir être affichés ici.";
    refresh: "Refresh" / "Actualiser";
    nothing_happened: "Nothing happened yet" / "Rien ne s’est encore passé";
    nothing_happened_intro: "Events appear here as soon as they are accepted." / "Les événements apparaissent ici dès qu’ils sont acceptés.";

    // one's own page
    reading: "Language and time" / "Langue et heure";
    language: "Language" / "Langue";
    time_zone: "Time zone" / "Fuseau horaire";
    wrong_zone: "There is no such time zone." / "Ce fuseau horaire n’existe pas.";
    mail_intro(address): "What is written to {address}. Nothing changes for anybody else." / "Ce qui est écrit à {address}. Rien ne change pour les autres.";
    mail_hooks: "Notifications that write to you" / "Notifications qui vous écrivent";
    no_mail_hooks: "None writes to you." / "Aucune ne vous écrit.";
    more_mail_hooks(n): "{n} more: the link in their e-mails stops them." / "{n} de plus : le lien de leurs e-mails les arrête.";
    mail_stop: "Stop" / "Arrêter";
    mail_stopped: "Stopped" / "Arrêtée";
    mail_again: "Receive again" / "Recevoir à nouveau";
    said_mail_stopped: "It does not write to you any more." / "Elle ne vous écrit plus.";
    said_mail_again: "It writes to you again." / "Elle vous écrit à nouveau.";
    wanted_kinds: "Write to me about" / "M’écrire au sujet de";
    wanted_kinds_hint: "Untick what you want no e-mail of, from whichever notification." / "Décochez ce dont vous ne voulez aucun e-mail, quelle que soit la notification.";
    always_sent(kinds): "Always sent: {kinds}." / "Toujours envoyés : {kinds}.";
    muted_resources: "No e-mails about these applications and add-ons" / "Aucun e-mail au sujet de ces applications et add-ons";
    muted_resources_hint: "Tick those you want no e-mail about, here and in your organisations." / "Cochez ceux dont vous ne voulez aucun e-mail, ici et dans vos organisations.";
    wrong_muted_kinds: "One of these does not exist any more or cannot be refused; choose again." / "L’un d’eux n’existe plus ou ne peut être refusé ; choisissez à nouveau.";
    too_many_mutes: "At most 500 events, applications and add-ons can be refused in all." / "Au plus 500 événements, applications et add-ons peuvent être refusés en tout.";
    tokens: "Tokens for the command line and the API" / "Jetons pour la ligne de commande et l’API";
    tokens_intro: "Whoever has a token acts as you. Revoke those you do not use." / "Qui détient un jeton agit à votre place. Révoquez ceux que vous n’utilisez pas.";
    token_name: "What is it for?" / "À quoi sert-il ?";
    token_example: "laptop" / "ordinateur portable";
    make_token: "Make a token" / "Créer un jeton";
    wrong_token_name: "A name has 1 to 100 bytes." / "Un nom a de 1 à 100 octets.";
    too_many_tokens: "You have as many tokens as you may; revoke one first." / "Vous avez le nombre maximal de jetons ; révoquez-en un d’abord.";
    token_made(name): "Token “{name}”" / "Jeton « {name} »";
    token_once: "Copy it now: its secret is shown this once, and never again." / "Copiez-le maintenant : son secret n’est affiché que cette fois.";
    for_clever: "The clever command" / "La commande clever";
    for_clever_hint: "From version 4 on, the address can be kept with the token: add --api-host and --alias to the second line." / "À partir de la version 4, l’adresse peut être gardée avec le jeton : ajoutez --api-host et --alias à la seconde ligne.";
    for_sonnette: "The sonnette command" / "La commande sonnette";
    for_sonnette_hint: "For the API, send the second value as Authorization: Bearer." / "Pour l’API, envoyez la seconde valeur en Authorization: Bearer.";
    revoke: "Revoke" / "Révoquer";
    said_revoked: "The token is revoked." / "Le jeton est révoqué.";
    sessions: "Where you are signed in" / "Où vous êtes connecté";
    sessions_intro: "If you do not know one of these, sign it out and revoke your tokens." / "Si l’un d’eux vous est inconnu, déconnectez-le et révoquez vos jetons.";
    this_device: "this one" / "celui-ci";
    signed_in_at: "Signed in" / "Connecté";
    last_seen: "seen" / "vu";
    said_ended: "It is signed out." / "Il est déconnecté.";
    sign_out_everywhere: "Sign out everywhere" / "Se déconnecter partout";
    browser_on(browser, system): "{browser} on {system}" / "{browser} sous {system}";
    unknown_browser: "Unknown browser" / "Navigateur inconnu";

    // what can happen
    events_intro: "Everything that can happen here and that a notification can ask for." / "Tout ce qui peut arriver ici et qu’une notification peut demander.";
    families_intro: "A notification that asks for a subject is told of all of its events, those added later too." / "Une notification qui demande un sujet reçoit tous ses événements, y compris ceux ajoutés plus tard.";
    kind_name: "Name" / "Nom";
    concerns: "It is about" / "Il concerne";
    concerns_owner: "the organisation or person" / "l’organisation ou la personne";
    concerns_application: "an application" / "une application";
    concerns_addon: "an add-on" / "un add-on";
    no_family: "none: ask for it by itself" / "aucun : à demander seul";
    told_by_default: "Told by default" / "Prévenus par défaut";
    nobody_by_default: "Nobody, unless a notification asks for it." / "Personne, sauf si une notification le demande.";
    admins_anyway: "The administrators, without any notification" / "Les administrateurs, sans aucune notification";
    locked: "They cannot be unsubscribed from." / "On ne peut pas s’en désabonner.";
    sample_data: "A sample of its data" / "Un exemple de ses données";
    whole_event: "The whole event" / "L’événement entier";
    in_chats: "In a chat" / "Dans une messagerie";
    in_each_format: "As each format sends it" / "Tel que chaque format l’envoie";

    // times
    just_now: "just now" / "à l’instant";
    minutes_ago(n): "{n} min ago" / "il y a {n} min";
    hours_ago(n): "{n} h ago" / "il y a {n} h";
    days_ago(n): "{n} d ago" / "il y a {n} j";
    in_a_moment: "in a moment" / "dans un instant";
    in_minutes(n): "in {n} min" / "dans {n} min";
    in_hours(n): "in {n} h" / "dans {n} h";
    in_days(n): "in {n} d" / "dans {n} j";
    never: "never" / "jamais";
}

/// Makes the names of things the catalogue and the formats know by a word of their own.
macro_rules! named {
    ($($word:literal : $en:literal / $fr:literal;)+) => {
        fn name(lang: Lang, word: &str) -> Option<&'static str> {
            match word {
                $($word => Some(lang.pick($en, $fr)),)+
                _ => None,
            }
        }
    };
}

named! {
    "META_DEPLOYMENT_RESULT": "Result of deployments (success/fail)" / "Résultat des déploiements (succès/échec)";
    "META_SERVICE_LIFECYCLE": "Service lifecycle" / "Cycle de vie des services";
    "META_SERVICE_MANAGEMENT": "Service management" / "Gestion des services";
    "META_CREDITS": "Credits" / "Crédits";
    "Account": "Account" / "Compte";
    "Organisation": "Organisation" / "Organisation";
    "Add-on": "Add-ons" / "Add-ons";
    "Application": "Applications" / "Applications";
    "Deployment": "Deployments" / "Déploiements";
    "Notifications": "Notifications" / "Notifications";
    "Other": "Other" / "Autres";
    "ACCOUNT_CREATION": "Account created" / "Compte créé";
    "ACCOUNT_DELETION": "Account deleted" / "Compte supprimé";
    "ACCOUNT_EDITION": "Account changed" / "Compte modifié";
    "ORGANISATION_CREATION": "Organisation created" / "Organisation créée";
    "ORGANISATION_DELETION": "Organisation deleted" / "Organisation supprimée";
    "ORGANISATION_EDITION": "Organisation changed" / "Organisation modifiée";
    "ORGANISATION_USER_ADDITION": "Member added" / "Membre ajouté";
    "ADDON_CREATION": "Add-on created" / "Add-on créé";
    "ADDON_DELETION": "Add-on deleted" / "Add-on supprimé";
    "APPLICATION_CREATION": "Application created" / "Application créée";
    "APPLICATION_DELETION": "Application deleted" / "Application supprimée";
    "APPLICATION_EDITION": "Application changed" / "Application modifiée";
    "APPLICATION_REDEPLOY": "Redeployment asked for" / "Redéploiement demandé";
    "APPLICATION_STOP": "Application stopped" / "Application arrêtée";
    "DEPLOYMENT_ACTION_BEGIN": "Deployment began" / "Déploiement commencé";
    "DEPLOYMENT_ACTION_END": "Deployment ended" / "Déploiement terminé";
    "DEPLOYMENT_FAIL": "Deployment failed" / "Déploiement échoué";
    "DEPLOYMENT_SUCCESS": "Deployment succeeded" / "Déploiement réussi";
    "GIT_PUSH": "Commits pushed" / "Commits poussés";
    "CLEVER_TOOLS_REQUEST": "Command line used" / "Ligne de commande utilisée";
    "CREDITS_ADDED": "Credits added" / "Crédits ajoutés";
    "CREDITS_WARNING": "Credits running low" / "Crédits bientôt épuisés";
    "CREDITS_EXHAUSTED": "Credits run out" / "Crédits épuisés";
    "HOOK_FAILING": "Webhook failing" / "Webhook en échec";
    "HOOK_DISABLED": "Webhook switched off" / "Webhook désactivé";
    "HELD_EXPIRING": "Held deliveries about to be given up" / "Envois retenus bientôt abandonnés";
    "ADDRESS_SUPPRESSED": "Address given up" / "Adresse abandonnée";
    "ADMIN": "administrators" / "administrateurs";
    "MANAGER": "managers" / "gestionnaires";
    "DEVELOPER": "developers" / "développeurs";
    "ACCOUNTING": "accounting" / "comptabilité";
}

fn count(lang: Lang, number: u64) -> String {
    let digits = number.to_string();
    let between = lang.pick(',', '\u{202F}');
    let mut out = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(between);
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_we_speak_is_spoken() {
        for (tags, expected) in [
            ("fr-CH, fr;q=0.9, en;q=0.8", Lang::Fr),
            ("de, fr;q=0.5", Lang::Fr),
            ("de, en;q=0.9, fr;q=0.5", Lang::En),
            ("FR", Lang::Fr),
            ("frr", Lang::En),
            ("", Lang::En),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, tags.parse().unwrap());
            assert_eq!(asked(&headers), expected, "{tags}");
        }
        assert_eq!(asked(&HeaderMap::new()), Lang::En);
    }

    #[test]
    fn everything_the_catalogue_is_born_with_has_a_name_in_both_languages() {
        let catalogue = sonnette_core::catalogue::Catalogue::builtin().unwrap();
        let kinds = catalogue.kinds().iter().filter(|kind| !kind.private);
        let families = catalogue.families().iter().map(|family| family.name.as_str());
        for name in kinds.flat_map(|kind| [kind.name.as_str(), kind.category.as_str()]).chain(families) {
            assert!(Lang::Fr.named(name).is_some(), "{name} has no name");
        }
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, en, fr) in [(0, "0", "0"), (999, "999", "999"), (1284, "1,284", "1\u{202F}284")] {
            assert_eq!((Lang::En.count(number).as_str(), Lang::Fr.count(number).as_str()), (en, fr));
        }
        assert_eq!(Lang::En.count(12_345_678), "12,345,678");
    }
}
