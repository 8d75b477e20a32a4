//! Every word of the console, English and French side by side: one list, so that neither language can lack one.

use std::fmt::Display;

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

/// A language the console speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lang {
    /// English.
    En,
    /// French.
    Fr,
}

impl Lang {
    /// Every language, each with its own name.
    pub(crate) const ALL: [(Self, &'static str); 2] = [(Self::En, "English"), (Self::Fr, "Français")];

    /// Its tag (BCP 47).
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
        }
    }

    /// The language a tag such as `fr-CA` means to us; English for those we do not speak.
    pub(crate) fn of(tag: &str) -> Self {
        let primary = tag.split('-').next().unwrap_or_default();
        if primary.eq_ignore_ascii_case("fr") { Self::Fr } else { Self::En }
    }

    /// What somebody we do not know reads: the first of their browser's languages that we speak. Browsers list them best
    /// first (RFC 9110, section 12.5.4).
    pub(super) fn asked(headers: &HeaderMap) -> Self {
        let asked = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let spoken =
            asked.split(',').map(|one| one.split(';').next().unwrap_or_default().trim()).find(|tag| {
                let primary = tag.split('-').next().unwrap_or_default();
                Self::ALL.iter().any(|(lang, _)| lang.tag().eq_ignore_ascii_case(primary))
            });
        Self::of(spoken.unwrap_or_default())
    }
}

/// Makes one method of [`Lang`] for each line: `name: "English" / "French";`, or `name(argument): …` with `{argument}` in both.
macro_rules! words {
    ($($name:ident $(($($arg:ident),+))? : $en:literal / $fr:literal;)+) => {
        impl Lang {
            $(words!(@one $name $(($($arg),+))? $en $fr);)+
        }
    };
    (@one $name:ident $en:literal $fr:literal) => {
        pub(crate) fn $name(self) -> &'static str {
            match self { Self::En => $en, Self::Fr => $fr }
        }
    };
    (@one $name:ident ($($arg:ident),+) $en:literal $fr:literal) => {
        pub(crate) fn $name(self, $($arg: impl Display),+) -> String {
            match self { Self::En => format!($en), Self::Fr => format!($fr) }
        }
    };
}

words! {
    // the frame
    notifications: "Notifications" / "Notifications";
    skip: "Skip to the content" / "Aller au contenu";
    main_navigation: "Notifications" / "Notifications";
    emails: "E-mails" / "E-mails";
    webhooks: "Webhooks" / "Webhooks";
    deliveries: "Deliveries" / "Envois";
    live: "Live" / "En direct";
    events: "Events" / "Événements";
    account: "My account" / "Mon compte";
    overview: "Overview" / "Vue d’ensemble";
    sign_out: "Sign out" / "Se déconnecter";
    personal_space: "Personal space" / "Espace personnel";
    organisations: "Organisations" / "Organisations";
    switch_owner: "Personal space and organisations" / "Espace personnel et organisations";
    your_account: "Your account" / "Votre compte";
    plain_open: "This page is not encrypted: whoever carries it can read it and act as you. Serve Sonnette over HTTPS." / "Cette page n’est pas chiffrée : quiconque la transporte peut la lire et agir à votre place. Servez Sonnette en HTTPS.";
    plain_here: "Not encrypted; fine on this machine." / "Non chiffré ; convient sur cette machine.";
    who_can(names): "Only {names} can change these notifications." / "Seuls {names} peuvent modifier ces notifications.";
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
    session_over: "Sign in to go on. You come back to the page you asked for." / "Connectez-vous pour continuer. Vous reviendrez à la page demandée.";

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
    method: "This address knows other methods" / "Cette adresse connaît d’autres méthodes";
    back_home: "Back to the notifications" / "Retour aux notifications";
    go_back: "Go back" / "Revenir";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_we_speak_is_spoken() {
        for (asked, expected) in [
            ("fr-CH, fr;q=0.9, en;q=0.8", Lang::Fr),
            ("de, fr;q=0.5", Lang::Fr),
            ("de, en;q=0.9, fr;q=0.5", Lang::En),
            ("FR", Lang::Fr),
            ("frr", Lang::En),
            ("", Lang::En),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, asked.parse().unwrap());
            assert_eq!(Lang::asked(&headers), expected, "{asked}");
        }
        assert_eq!(Lang::asked(&HeaderMap::new()), Lang::En);
    }
}
