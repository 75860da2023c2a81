"""Closed word classes of English, German, French and Spanish: short lists that rules ask, not dictionaries.

A word of two languages ("war", "son") is in for both; rules that use a list must live with that.
"""

from __future__ import annotations


def word_set(text: str) -> frozenset[str]:
    """The words of `text`, separated by white space."""
    return frozenset(text.split())


STOPWORDS = word_set(
    """
    a about above after again against all also am an and any are as at be because been before being below between
    both but by can could did do does doing down during each few for from further had has have having he her here
    hers him his how i if in into is it its itself just may me might more most must my no nor not now of off on once
    only or other our out over own same shall she should so some such than that the their them then there these they
    this those through to too under until up upon us very was we were what when where which while who whom whose why
    will with would you your
    aber alle als also am an auch auf aus bei bin bis das dass dem den der des die dies diese dieser dieses doch du
    durch ein eine einem einen einer eines er es für hat haben hatte hatten ich ihr ihre im in ist ja kann mit nach
    nicht noch nun nur ob oder ohne sein seine sich sie sind so über um und uns von vor war waren was wenn wer werden
    wie wir wird wurde wurden zu zum zur
    au aux avec ce ces cette dans de des du elle en est et il ils la le les leur mais ne ont ou par pas pour qui que
    se ses son sont sur un une
    con del el ella en es esta este fue las los más no o para pero por se ser su sus una y
    """
)

NEGATIONS = word_set(
    """
    not no never none nobody nothing neither nor nowhere without cannot hardly scarcely
    nicht kein keine keinen keinem keiner keines nie niemals niemand nichts ohne weder kaum
    pas jamais aucun aucune rien sans nunca ningún ninguna nada sin jamás tampoco apenas
    """
)

# What reports say of themselves and of what is to be done: new words of these say nothing new of the matter.
REPORTING = word_set(
    """
    research study studies studied further need needed needs necessary trial trials finding findings result results
    clinical patient patients important importance useful usefulness evidence suggest suggests suggested suggesting may
    might should could would warranted required recommended recommend conclude conclusion conclusions confirm confirmed
    determine determined explore explored exploration investigate investigated investigation investigations data
    observation observations observed future larger large small sample size prospective randomized randomised controlled
    approach approaches method methods tool role effect effects impact issue likely possible possibly potential
    potentially appropriate considered consider consideration used use using however therefore additional also although
    whether due based report reported first provide provides support supports help helps show shows shown showed define
    defined elucidate elucidated validate validated evaluate evaluated evaluation assess assessed assessment examine
    examined analysis analyses practice practices outcome outcomes benefit benefits significant significantly
    significance limited limitation limitations remain remains unclear uncertain controversial information current
    present routine routinely relevant available alternative especially particularly thus hence new work better good
    well order account take taken many several various different among within between case cases example view
    understanding knowledge understand implications implication mechanism mechanisms factor factors level levels part
    degree terms basis follow-up term long-term strategy strategies management develop developed development
    """
)

# What denies without a negation.
DENIALS = NEGATIONS | word_set(
    """
    rarely unable lack lacked lacks lacking fail failed fails failure absence absent fehlen fehlt
    """
)

# English words of opposite direction: where one is said, the other contradicts it.
OPPOSITES = """
    increase:decrease increase:reduce increase:decline increase:drop increase:fall rise:fall high:low higher:lower
    highest:lowest more:less more:fewer most:least greater:smaller greater:less greater:lower large:small larger:smaller
    better:worse best:worst better:poor good:poor good:bad improve:worsen improve:deteriorate improve:impair
    positive:negative positively:negatively gain:loss elevate:reduce enhance:reduce enhance:impair enhance:inhibit
    enhance:suppress promote:inhibit upregulate:downregulate effective:ineffective safe:unsafe useful:useless
    appropriate:inappropriate necessary:unnecessary likely:unlikely similar:different same:different early:late
    earlier:later long:short longer:shorter strong:weak common:rare frequent:rare superior:inferior benefit:harm
    beneficial:harmful sufficient:insufficient adequate:inadequate reliable:unreliable significant:insignificant
    accurate:inaccurate dependent:independent younger:older young:old advantage:disadvantage favorable:unfavorable
    correlated:uncorrelated related:unrelated able:unable agree:disagree before:after support:contradict success:failure
    survive:die accept:reject fast:slow quick:slow easy:difficult
"""

# What points outside its sentence when it opens one: whoever reads that alone does not know of whom it speaks.
DANGLING = word_set(
    """
    he she it they this that these those his her hers their its such here there then thus therefore however but
    and or so yet nor also both either neither another others moreover furthermore besides instead nevertheless
    nonetheless meanwhile otherwise hence similarly likewise consequently him them who which whose er sie es
    dies diese dieser dieses diesem diesen jene jener jenes ihr ihre ihren ihrer sein seine seinen seiner dort
    dann da damit dabei daher deshalb trotzdem jedoch aber und oder denn auch doch il elle ils elles ce cela
    ceci cette ces celui celle leur mais et donc él ella ellos ellas esto eso ese esa pero y
    """
)

FIRST_PERSON = word_set(
    """
    i me my mine myself we us our ours ourselves you your yours yourself i'm i've i'll i'd we're we've we'll
    you're you've you'll let's ich mich mir mein meine meinen meiner wir uns unser unsere unseren du dich dir
    dein deine je moi mon ma mes nous notre nos vous votre vos yo mi mis nosotros nuestro nuestra
    """
)

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_GERMAN = "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf"

GERMAN_WORDS = word_set(
    """
    der die das des dem den ein eine einen einem einer eines und oder aber ist sind war waren wird wurde wurden hat
    haben hatte nicht kein keine von vom zum zur im am mit auf aus bei nach für über unter durch als wie was wer wann
    wo welche welcher welches welchem welchen wem wen warum viele sich auch er sie es
    """
)
ENGLISH_WORDS = word_set(
    """
    the a an of and or but is are were has have had not to on at by for with from as how what who when where which
    why this that these those it its their he she they
    """
)
GERMAN_DETERMINERS = word_set(
    """
    der die das des dem den ein eine einen einem einer eines kein keine keinen keinem keiner dieser diese dieses diesem
    diesen welche welcher welches welchem welchen im am zum zur beim vom ins ans seine seinen seiner seines seinem sein
    ihre ihr ihren ihrer ihrem ihres viele vielen mehrere mehr alle allen beide beiden einige jede jeder jedes jedem
    jeden viel wie wessen deren dessen zwei drei vier fünf sechs sieben acht neun zehn zwölf hundert tausend pro laut
    """
)
# What questions and retellings name things by, without accents: no text need have said it before.
GERMAN_NOUNS = word_set(
    """
    abschnitt aktion akt alter anfang ankunft ansicht antwort anteil anzahl arbeit art arten aufgabe ausdruck auswirkung
    begriff beginn beispiel bereich bericht beruf betrag bezug bord buch dauer dinge ding effekt eigenschaft einfluss
    einwohner ende energie ereignis ergebnis ergebnisse fahigkeit faktor faktoren fall farbe feld figur film firma
    flache fluss folge folgen form frage frau frauen freund gebaude gebiet gebiete gefahr gegenstand
    geld gesetz gesetze grad
    grosse grund grunde gruppe gruppen halfte hauptstadt haus herkunft hilfe hinblick hohe idee inhalt insel institution
    jahr jahre jahren jahrhundert jahrzehnt jahreszeit kampf kategorie kilogramm kilometer kind kinder klasse
    konzept kosten kraft land lander landern lage leben lehrer leute liste mal mann manner material menge mensch
    menschen methode methoden minute minuten mitglied mitglieder mittel modell modelle monat monate name namen niveau
    nummer objekt objekte ort orte orten osten norden suden westen paar partei partner person personen pflanze platz
    problem probleme produkt programm projekt protest prozent prozentsatz prozess punkt rahmen rang raum rechte recht
    regel regeln region regionen reich reihe rolle sache satz schritt schule schulen schuler seite serie sinn sohn
    spiel spieler spitzname sprache staat staaten stadt stadte stadten status stelle stellen stoff strasse stuck student
    studenten stunde stunden substanz system systeme tag tage tatigkeit team technik teil teile teilen temperatur text
    texte theorie thema tier tiere titel tochter tod tonne tonnen typ typen umgang umstand umstande unternehmen
    unterschied ursache vater verfahren verein vergleich verhalten verhaltnis vertrag volk vorteil wasser weg weise
    welt werk werke wert werte wesen wissenschaftler woche wochen wort worte worter zahl zahlen zeichen zeit zeiten
    zeitpunkt zeitraum zentrum ziel ziele zweck zustand mutter bruder schwester krieg kriege konig stamm sendung lied
    album sanger spieltag trainer meister mannschaft rate kunst kunstler gott kirche gemeinde regierung prasident
    """
)
# What is added to a name for its people, language or adjective.
DERIVATIONS = word_set(
    """
    n an ian ean ese ish i er ic al s es en e y a o isch ische ischen ischer isches ischem ern ers ians ans ns ien is
    iens ier iern eans
    """
)


def _units() -> dict[str, str]:
    groups = (
        "% percent prozent pct", "million millionen millones mio", "billion milliarde milliarden mrd",
        "trillion billionen", "year years jahr jahre jahren jähriger jährige yr yrs",
        "month months monat monate monaten",
        "week weeks woche wochen wk", "day days tag tage tagen", "hour hours stunde stunden hr hrs",
        "minute minutes minuten min", "second seconds sekunde sekunden",
        "km kilometer kilometers kilometre kilometres kilometern", "mile miles meile meilen",
        "metre metres meter meters metern", "foot feet fuss", "cm", "mm", "mg", "g", "kg", "µg μg mcg", "ml",
        "acre acres", "hectare hectares hektar",
    )  # fmt: skip
    return {spelling: group.split()[0] for group in groups for spelling in group.split()} | {
        "per cent": "%", "per thousand": "‰", "promille": "‰"
    }  # fmt: skip


UNITS = _units()


# Forms of irregular English verbs by their base: "wrote" and "written" say what "write" says.
_IRREGULAR = """
    be is are was were been being am; have has had; do does did done; go went gone; say said; make made; get got gotten;
    know knew known; think thought; take took taken; see saw seen; come came; find found; give gave given; tell told;
    become became; leave left; feel felt; bring brought; begin began begun; keep kept; hold held; write wrote written;
    stand stood; hear heard; mean meant; meet met; run ran; pay paid; sit sat; speak spoke spoken; lie lay lain;
    lead led; grow grew grown; lose lost; fall fell fallen; send sent; build built; understand understood;
    draw drew drawn; break broke broken; spend spent; rise rose risen; drive drove driven; buy bought; wear wore worn;
    choose chose chosen; win won; fight fought; sell sold; teach taught; catch caught; die died dying; fly flew flown;
    shoot shot; steal stole stolen; strike struck; sing sang sung; swim swam swum; throw threw thrown; eat ate eaten;
    bear bore born borne; hide hid hidden; ride rode ridden; forget forgot forgotten; sink sank sunk; seek sought
"""


def _base_forms() -> dict[str, str]:
    families = [family.split() for family in _IRREGULAR.split(";")]
    return {form: family[0] for family in families for form in family}


BASE_FORMS = _base_forms()


def _number_words() -> dict[str, int]:
    units, tens = _UNITS.split(" "), _TENS.split(" ")
    found = {word: value for value, word in enumerate(units)}
    found |= {word: 10 * value for value, word in enumerate(tens, 2)}
    found |= {f"{ten}-{units[u]}": 10 * t + u for t, ten in enumerate(tens, 2) for u in range(1, 10)}
    found |= {word: value for value, word in enumerate(_GERMAN.split(" "))}
    return found | {"dozen": 12, "hundred": 100, "thousand": 1000, "hundert": 100, "tausend": 1000}


NUMBER_WORDS = _number_words()
