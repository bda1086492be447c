# ruff: noqa: E501  tables are easier to read with long lines
"""Names with a voice: for every one of them a clip was made beforehand (see audio/make.py).

Demo leads take their names from here, so that a demo conversation is spoken throughout. A name that is not
here is still spoken, syllable by syllable, and plainly (see speech.py).
"""

from __future__ import annotations

WOMEN = (
    "Aaliyah", "Agnes", "Aiko", "Aisha", "Alice", "Amara", "Amelia", "Amina", "Ana", "Andrea", "Anjali", "Anna",
    "Astrid", "Beatriz", "Camila", "Carmen", "Caroline", "Chiara", "Chloe", "Claire", "Clara", "Daniela",
    "Diana", "Elena", "Elif", "Elise", "Emily", "Emma", "Fatima", "Freya", "Gabriela", "Giulia", "Grace",
    "Greta", "Hana", "Hannah", "Ines", "Ingrid", "Isabel", "Jana", "Jasmin", "Joana", "Julia", "Karin", "Katja",
    "Laila", "Laura", "Lea", "Leila", "Linda", "Lucia", "Maja", "Maria", "Mei", "Mila", "Nadia", "Naomi",
    "Nina", "Olga", "Olivia", "Paula", "Petra", "Priya", "Rachel", "Rosa", "Sabine", "Sara", "Sofia", "Susanne",
    "Teresa", "Valentina", "Yara", "Yuki", "Zofia", "Zoe",
)  # fmt: skip

MEN = (
    "Aaron", "Abdul", "Adam", "Ahmed", "Alan", "Alejandro", "Andrew", "Anton", "Arjun", "Ben", "Bruno", "Carlos",
    "Chen", "Chidi", "Christian", "Daniel", "David", "Diego", "Dmitri", "Edward", "Eduardo", "Emre", "Enzo",
    "Erik", "Felipe", "Felix", "Finn", "Francisco", "Frank", "George", "Giovanni", "Hassan", "Henrik", "Hiroshi",
    "Hugo", "Ibrahim", "Ivan", "Jack", "James", "Jan", "Javier", "Jonas", "Jorge", "Juan", "Kai", "Karim",
    "Kevin", "Klaus", "Kwame", "Lars", "Leo", "Liam", "Lucas", "Luis", "Manuel", "Marco", "Martin", "Mateo",
    "Max", "Michael", "Miguel", "Mohammed", "Nikolai", "Noah", "Oliver", "Omar", "Oscar", "Pablo", "Paul",
    "Peter", "Pierre", "Rafael", "Raj", "Robert", "Samuel", "Stefan", "Thomas", "Tomas", "Viktor", "William",
)  # fmt: skip

FIRST_NAMES = (*WOMEN, *MEN)

LOCAL_NAMES = {
    "de": (
        "Anna", "Clara", "Emma", "Greta", "Hannah", "Jana", "Julia", "Karin", "Katja", "Laura", "Lea", "Maja", "Maria",
        "Mila", "Nina", "Petra", "Sabine", "Sara", "Sofia", "Susanne", "Anton", "Ben", "Bruno", "Christian", "Daniel",
        "David", "Erik", "Felix", "Finn", "Frank", "Henrik", "Jan", "Jonas", "Kai", "Klaus", "Lars", "Leo", "Lucas",
        "Martin", "Max", "Michael", "Noah", "Oscar", "Paul", "Peter", "Robert", "Samuel", "Stefan", "Thomas", "Viktor",
    ),
    "es": (
        "Ana", "Andrea", "Beatriz", "Camila", "Carmen", "Clara", "Daniela", "Diana", "Elena", "Gabriela", "Ines",
        "Isabel", "Joana", "Julia", "Laura", "Lucia", "Maria", "Paula", "Rosa", "Sara", "Sofia", "Teresa", "Valentina",
        "Yara", "Alejandro", "Bruno", "Carlos", "Daniel", "David", "Diego", "Eduardo", "Enzo", "Felipe", "Francisco",
        "Hugo", "Ivan", "Javier", "Jorge", "Juan", "Leo", "Lucas", "Luis", "Manuel", "Marco", "Martin", "Mateo",
        "Miguel", "Oscar", "Pablo", "Rafael", "Samuel", "Tomas",
    ),
}  # fmt: skip
"""Those of FIRST_NAMES that the agents who speak another language can say."""

COMPANIES = (
    "Acorn Kitchens", "Alder Dental", "Anchor Freight", "Ash and Oak Joinery", "Atlas Plumbing", "Beacon Print",
    "Birch Consulting", "Blue Door Bakery", "Bridge Street Motors", "Cedar Homes", "Cliffside Hotel",
    "Copper Kettle Cafe", "Corner Pharmacy", "Crown Logistics", "Delta Roofing", "Eastgate Gym", "Elm Park Clinic",
    "Evergreen Gardens", "Falcon Security", "Ferry Lane Foods", "Fieldhouse Farm", "First Light Studio",
    "Fox and Partners", "Garnet Jewellers", "Granite Builders", "Green Valley Dairy", "Harbour Fish",
    "Hazel Interiors", "Highland Tours", "Hill Top School", "Horizon Travel", "Iron Works Fitness",
    "Juniper Legal", "Kingfisher Boats", "Lakeside Vets", "Lantern Books", "Lime Tree Nursery", "Linden Accounting",
    "Maple Insurance", "Market Hall Foods", "Meadow Care", "Mill House Textiles", "Mosaic Design",
    "North Star Electrics", "Orchard Street Deli", "Otter Web Design", "Park View Opticians", "Pebble Software",
    "Pine Ridge Timber", "Quarry Stone", "Raven Recruiting", "River Bank Spa", "Saffron Catering", "Silver Birch Care",
    "Station Garage", "Summit Sports", "Sunrise Cleaning", "Tidewater Marine", "Walnut Furniture", "Willow Landscapes",
)  # fmt: skip

AGENT_NAMES = ("Ava", "Clara", "Lena", "Lucia", "Maya", "Nora")
"""What the AI agents of the demo call themselves."""

CALLING_COMPANIES = (
    "Brightside Solar", "Harbor Mutual", "Tallyboard", "Cedar Dental", "Northwind Energy", "Parcelpoint",
)  # fmt: skip
"""Who the agents call for: the companies of the scripts, the first of them the demo's own."""

REASONS = (
    "you asked for a solar quote on our website",
    "you asked us for a price last week",
    "your policy is up for renewal next month",
    "you downloaded our guide",
    "you have an appointment with us this week",
    "you asked us to call you back",
    "we owe you an answer to your question",
    "you left your number at our stand",
)
"""Stock values of `reason_we_called`, spoken throughout."""

SUMMARIES = (
    "you asked us to call you back",
    "you wanted to talk it over at home",
    "you asked us for a written offer",
    "you asked about the price",
    "we could not reach you",
)
"""Stock values of `last_call_summary`, spoken throughout."""


def sounds_like_a_woman(first_name: str) -> bool:
    """Which of the two voices answers for this name; a name that is not here gets the man's."""
    return first_name.strip().title() in WOMEN
