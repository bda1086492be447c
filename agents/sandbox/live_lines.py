# ruff: noqa: E501  tables are easier to read with long lines
"""What the agent of a live talk says, and the replies offered to whoever plays the customer."""

from __future__ import annotations

from collections.abc import Mapping

DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "en": {"agent_name": "Ava", "company_name": "Brightside Solar"},
    "de": {"agent_name": "Lena", "company_name": "Northwind Energy"},
    "es": {"agent_name": "Lucia", "company_name": "Brightside Solar"},
}

LINES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "greeting": "Hi {{first_name|there}}. This is {{agent_name}}. I'm an AI assistant calling for {{company_name}}. "
        "I'm calling because {{reason_we_called|you asked us for a price last week}}. Is this a good moment?",
        "offer": "Great. The first step is a short visit. It costs nothing, and you get a fixed price in writing. "
        "Would Thursday at five o'clock suit you?",
        "simply": "I see. Let me put it simply. The first step is a short visit that costs nothing. "
        "Would Thursday at five o'clock suit you?",
        "price": "I can't give you an exact figure on the phone. The visit is free, and the price you then get is fixed. "
        "Would Thursday at five o'clock suit you?",
        "robot": "Yes, I'm an AI assistant, not a person. I can book a visit, or have a colleague call you. What would you like?",
        "who": "I'm calling for {{company_name}}. You left your number with us, and I'd like to answer your question. "
        "Do you have two minutes?",
        "when": "No problem at all. When may I call you back?",
        "why_not": "I understand. May I ask what speaks against it?",
        "thanks_for_telling": "Thank you for telling me, that helps us. I won't keep you. Goodbye!",
        "promised": "I've written it down. We call you back then. Thank you, and goodbye!",
        "opted_out": "I understand. I'm taking your number off our list now. Nobody from our company will call you again. "
        "I'm sorry for the trouble.",
        "wrong_number": "Then I have the wrong number. I'm sorry to have bothered you, and I'll correct it here.",
        "no_colleague": "I'm sorry, none of my colleagues is free at the moment. Somebody will call you back today.",
        "by_email": "I'm sending it by email today. Thank you for your time. Goodbye!",
        "booked": "It's booked. You will get a text message with the engineer's name. Thank you for your time. Goodbye!",
        "goodbye": "Thank you for your time. Goodbye!",
    },
    "de": {
        "greeting": "Guten Tag {{first_name|zusammen}}. Hier ist {{agent_name}}. Ich bin eine KI-Assistentin und rufe im "
        "Auftrag von {{company_name}} an. Es geht um Ihre Anfrage auf unserer Webseite. Passt es gerade?",
        "offer": "Sehr gut. Der erste Schritt ist ein kurzer Besuch, der nichts kostet. "
        "Passt Ihnen Donnerstag um siebzehn Uhr?",
        "simply": "Ich verstehe. Der erste Schritt ist ein kurzer Besuch, der nichts kostet. "
        "Passt Ihnen Donnerstag um siebzehn Uhr?",
        "price": "Eine genaue Zahl kann ich am Telefon nicht nennen. Der Besuch kostet nichts, und der Preis danach ist fest. "
        "Passt Ihnen Donnerstag um siebzehn Uhr?",
        "robot": "Ja, ich bin eine KI-Assistentin und kein Mensch. Was darf ich für Sie tun?",
        "who": "Ich rufe im Auftrag von {{company_name}} an. Es geht um Ihre Anfrage auf unserer Webseite. Passt es gerade?",
        "when": "Kein Problem. Wann darf ich Sie wieder anrufen?",
        "why_not": "Das verstehe ich. Darf ich fragen, was dagegen spricht?",
        "thanks_for_telling": "Vielen Dank für Ihre Offenheit. Auf Wiederhören!",
        "promised": "Ich habe es notiert. Wir rufen Sie dann an. Auf Wiederhören!",
        "opted_out": "Das tut mir leid. Ich habe Ihre Nummer gesperrt. Sie bekommen keinen Anruf mehr von uns.",
        "wrong_number": "Entschuldigen Sie die Störung. Ich berichtige die Nummer. Auf Wiederhören!",
        "no_colleague": "Leider ist gerade niemand frei. Ein Kollege ruft Sie heute noch zurück.",
        "by_email": "Gerne. Sie haben es in einer Stunde. Auf Wiederhören!",
        "booked": "Dann ist der Termin gebucht. Sie bekommen gleich eine Nachricht mit dem Namen des Technikers. "
        "Auf Wiederhören!",
        "goodbye": "Einen schönen Tag noch!",
    },
    "es": {
        "greeting": "Hola {{first_name|buenos días}}. Soy {{agent_name}}. Soy una asistente de inteligencia artificial y le "
        "llamo de parte de {{company_name}}. Usted pidió un presupuesto para paneles solares. ¿Le viene bien hablar ahora?",
        "offer": "Muy bien. El primer paso es una visita corta y gratuita. ¿Le viene bien el jueves a las cinco?",
        "simply": "Entiendo. El primer paso es una visita corta y gratuita. ¿Le viene bien el jueves a las cinco?",
        "price": "Por teléfono no puedo darle una cifra exacta. La visita es gratuita y el precio después es fijo. "
        "¿Le viene bien el jueves a las cinco?",
        "robot": "Sí, soy una asistente de inteligencia artificial, no una persona. ¿En qué puedo ayudarle?",
        "who": "Le llamo de parte de {{company_name}}. Usted pidió un presupuesto para paneles solares. "
        "¿Le viene bien hablar ahora?",
        "when": "No se preocupe. ¿Cuándo le puedo llamar?",
        "why_not": "Lo entiendo. ¿Puedo preguntarle por qué?",
        "thanks_for_telling": "Gracias por decírmelo. ¡Que tenga un buen día!",
        "promised": "Lo he apuntado. Le llamamos entonces. ¡Que tenga un buen día!",
        "opted_out": "Lo entiendo. Lamento la molestia. Ya está borrado. No volverá a recibir llamadas nuestras.",
        "wrong_number": "Perdone la molestia. Voy a corregir el número. Adiós.",
        "no_colleague": "Ahora mismo no hay nadie libre. Un compañero le llamará hoy.",
        "by_email": "Claro que sí. Lo tendrá en una hora. ¡Que tenga un buen día!",
        "booked": "Queda apuntado. Recibirá un mensaje con el nombre del técnico. ¡Hasta el jueves!",
        "goodbye": "¡Que tenga un buen día!",
    },
}

REPLIES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "en": {
        "greeted": (
            "Yes, go on.", "Who is calling, please?", "What does it cost?", "Call me tomorrow at ten.",
            "I'm not interested.", "You have the wrong number.", "Take me off your list.",
        ),
        "offered": (
            "Yes, that works.", "How much is it?", "Are you a robot?", "Send it to me by email.",
            "I'd like to talk to a person.", "No, thank you.", "Call me back tomorrow at ten.",
        ),
        "asked_when": ("Tomorrow at ten.", "In an hour.", "On Monday, at three.", "Never call me again."),
        "asked_why": ("It's too expensive.", "We already have one.", "I'd rather not say.", "Call me tomorrow at ten."),
        "closing": ("Thanks, bye.", "Goodbye."),
    },
    "de": {
        "greeted": (
            "Ja, das passt.", "Wer ist da?", "Was kostet das?", "Rufen Sie bitte morgen um zehn an.",
            "Ich habe kein Interesse.", "Da haben Sie sich verwählt.", "Streichen Sie bitte meine Nummer.",
        ),
        "offered": ("Ja, gerne.", "Was kostet das?", "Sind Sie ein Roboter?", "Nein, danke.", "Bitte per Mail."),
        "asked_when": ("Morgen um zehn.", "In einer Stunde.", "Rufen Sie nie wieder an."),
        "asked_why": ("Das ist mir zu teuer.", "Wir haben schon eine Anlage.", "Das möchte ich nicht sagen."),
        "closing": ("Danke, auf Wiederhören.", "Tschüss."),
    },
    "es": {
        "greeted": (
            "Sí, dígame.", "¿Quién es?", "¿Cuánto cuesta?", "Llámeme mañana a las diez.",
            "No me interesa.", "Se ha equivocado de número.", "Borren mi número de su lista.",
        ),
        "offered": ("Sí, me viene bien.", "¿Cuánto cuesta?", "¿Es usted una máquina?", "No, gracias.", "Por correo, por favor."),
        "asked_when": ("Mañana a las diez.", "En otro momento no, gracias.", "No me llamen más."),
        "asked_why": ("Es demasiado caro.", "Ya tenemos una.", "Prefiero no decirlo."),
        "closing": ("Gracias, adiós.", "Hasta luego."),
    },
}  # fmt: skip
