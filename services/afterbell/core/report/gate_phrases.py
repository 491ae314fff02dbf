"""What the prose gate looks for in the other languages that reports are written in; its own module has the English.

Each pattern knows the way the thing is said in German, Spanish, French, Portuguese, Turkish, Hindi, Chinese and Arabic.
Hindi has no word boundaries here: its vowel signs are no letters to a regular expression.
"""

import re
from typing import Final

GRADES: Final = re.compile(
    r"\b(?:noten? (?:von |ist |war )?[1-6]\b|note:? ?(?:[1-6]\b|sehr gut|gut\b|befriedigend)|volle punktzahl"
    r"|\d+ von \d+ punkten|(?:eine )?glatte (?:eins|zwei|drei|vier|fünf|sechs))"
    r"|\b(?:nota (?:de |final |: ?)?(?:\d|dez\b|diez\b|m[áa]xima)|\d{1,2}(?:[.,]\d)? sobre 10\b|sobresaliente\b"
    r"|matr[íi]cula de honor)"
    r"|\bnote (?:de |: ?)?\d|\b\d{1,2}(?:[.,]\d)? sur (?:10|20)\b|\bmention (?:très )?bien\b"
    r"|\b(?:10|100) üzerinden \d|\btam (?:puan|not)\b|\b\d{1,3} puan (?:aldı|verdi)"
    r"|(?:10|१०) में से (?:\d|[०-९])|पूरे अंक|ग्रेड [A-Fa-f]"
    r"|满分|(?:得|打|评)了? ?\d{1,3} ?分(?![钟之数母子米别成])|[A-Fa-f] ?级"
    r"|(?:العلامة|الدرجة) (?:الكاملة|النهائية)|(?:علامة|درجة) كاملة|(?:علامة|تقدير):? ?\d",
    re.IGNORECASE,
)
"""A grade."""

COMPARISONS: Final = re.compile(
    r"\b(?:besser|schlechter|schneller|weiter|sicherer) als (?:die )?(?:meisten |vielen? )?(?:anderen?\b|mitschüler"
    r"|klassenkamerad|gleichaltrig|klasse\b)"
    r"|\bklassenbeste|\b(?:über|unter)durchschnittlich|\b(?:im vergleich zu|verglichen mit) (?:den |seinen |ihren )?"
    r"(?:anderen|mitschüler|gleichaltrig|klass)|\bfür (?:sein|ihr) alter\b"
    r"|\b(?:mejor|peor|más \w+) que (?:los |las |sus |la mayoría de (?:los |sus )?)?(?:otr[oa]s|demás|compañer"
    r"|niñ|alumn|estudiantes)|\b(?:primer[oa]|mejor) de (?:la|su) clase|\ben comparación con (?:otr|sus|los demás)"
    r"|\bpara su edad\b"
    r"|\b(?:mieux|meilleure?|pire|plus \w+) que (?:les |ses |la plupart des )?(?:autres|camarades|élèves|enfants)"
    r"|\b(?:premier|première|tête) de (?:la|sa) classe|\bpar rapport aux autres\b|\bpour son âge\b"
    r"|\b(?:melhor|pior|mais \w+) (?:do )?que (?:os |as |seus |suas |a maioria dos )?(?:outr[oa]s|demais|colegas|alunos"
    r"|crianças|estudantes)|\bmelhor da (?:turma|sala|classe)|\bem comparação com (?:outr|os |seus)"
    r"|\bpara (?:a )?sua idade\b"
    r"|\b(?:diğer|öteki) (?:çocuk|öğrenci)\w* (?:göre|daha)|\b(?:arkadaş|akran)\w+d[ae]n daha|\bsınıf\w* (?:en iyisi"
    r"|birincisi)|\byaşına göre\b"
    r"|(?:दूसरे|अन्य|बाकी) (?:बच्चों|विद्यार्थियों|छात्रों) (?:से|की तुलना)|(?:सहपाठियों|साथियों) (?:से|की तुलना)"
    r"|कक्षा में (?:प्रथम|अव्वल|सबसे (?:अच्छ|आगे|तेज़|होशियार))|उम्र के हिसाब से"
    r"|比(?:其他|其它|别的|同班|同龄|大多数|多数)|全班(?:第一|最)|(?:高于|低于|超过)(?:同龄|平均|班级)|同龄人"
    r"|(?:أفضل|أسوأ|أسرع|أحسن) من (?:الآخرين|بقية|زملائ|أقران|غيره|معظم)|الأول (?:على|في) (?:صفه|صفها|الصف)"
    r"|مقارنة ب(?:زملائ|أقران|الآخرين|غير)|بالنسبة (?:لعمره|لعمرها|إلى عمره)",
    re.IGNORECASE,
)
"""A comparison with other children."""

TRAITS: Final = re.compile(
    r"\b(?:ihr kind (?:ist|war)|du (?:bist|warst)) (?:(?:sehr|so|wirklich|echt|ein|eine) ){0,3}(?:(?:hoch)?begabt"
    r"|talentiert|klug|schlau|intelligent|genial|faul|dumm)|\b(?:(?:hoch)?begabt|talentiert)e[nrs]? (?:kind|schüler"
    r"|mädchen|junge)"
    r"|\b(?:su hij[oa] (?:es|fue)|eres) (?:(?:muy|tan|realmente|una?|niñ[oa]|alumn[oa]) ){0,3}(?:superdotad[oa]"
    r"|talentos[oa]|inteligente|brillante|list[oa]|perezos[oa])\b"
    r"|\b(?:votre enfant (?:est|était)|tu (?:es|étais)) (?:(?:très|si|vraiment|une?|enfant|élève) ){0,3}"
    r"(?:(?:sur)?douée?|intelligente?|brillante?|paresseu(?:x|se))\b"
    r"|\b(?:(?:seu filho|sua filha|a criança) (?:é|foi)|você é|tu és) (?:(?:muito|tão|realmente|uma?|criança|alun[oa])"
    r" ){0,3}(?:superdotad[oa]|talentos[oa]|inteligente|brilhante|espert[oa]|preguiços[oa])\b"
    r"|\b(?:çocuğunuz|sen) (?:(?:çok|gerçekten|son derece|bir) ){0,3}(?:zeki|yetenekli|akıllı|dahi|tembel)"
    r"|(?:बच्चा|बच्ची|तुम) (?:(?:बहुत|वाकई|सच में|काफ़ी|एक) ){0,3}(?:होशियार|बुद्धिमान|प्रतिभाशाली|आलसी)"
    r"|(?:孩子|你|他|她)(?:真的?|很|非常|特别|太|十分|是个?){1,2}(?:聪明|有天赋|天才|懒)"
    r"|(?:طفلكم|طفلك|ابنكم|ابنتكم|أنتِ?) (?:(?:حقًا|فعلًا) )?(?:ذكيّ?ة?|موهوبة?|عبقريّ?ة?|كسولة?)(?!\w)",
    re.IGNORECASE,
)
"""What a child is, rather than what it did."""

EARLIER_LESSONS: Final = re.compile(
    r"\b(?:besser|sicherer|schneller|schlechter|weniger|fortschritt\w*)\b[^.!?]{0,60}\b(?:letzte[nrs]? (?:mal|stunde"
    r"|woche)|früher|bisher|zuvor)\b|\b(?:seit|im vergleich zu|anders als in) (?:der |dem )?letzten\b"
    r"|\bhat sich (?:stark |deutlich |sehr )?verbessert\b|\bimmer besser\b"
    r"|\b(?:mejor|peor|más \w+|progres\w+)\b[^.!?]{0,60}\b(?:la última (?:vez|clase)|la (?:vez|clase|semana) (?:pasada"
    r"|anterior)|que antes)\b|\bdesde la (?:última|clase anterior)|\bha mejorado (?:mucho|notablemente|bastante)\b"
    r"|\bsigue mejorando\b"
    r"|\b(?:mieux|meilleure?s?|plus \w+|moins \w+|progrès|progressé)\b[^.!?]{0,60}\b(?:la dernière (?:fois|séance)|la "
    r"(?:séance précédente|semaine dernière)|qu['\u2019]avant|que d['\u2019]habitude)\b|\bdepuis la (?:dernière|séance"
    r" précédente)|\ba (?:beaucoup|bien|nettement) progressé\b"
    r"|\b(?:melhor|pior|mais \w+|progre\w+|evolu\w+)\b[^.!?]{0,60}\b(?:última (?:vez|aula)|aula (?:passada|anterior)"
    r"|semana passada|que antes)\b|\bdesde a (?:última|aula passada)|\bmelhorou (?:muito|bastante)\b"
    r"|\bcontinua melhorando\b"
    r"|\b(?:geçen|önceki|son) (?:ders|sefer|hafta)\w* (?:göre|beri|daha)\b|\b(?:eskisinden|öncekinden) daha\b"
    r"|\b(?:çok|oldukça|epey) (?:gelişti|ilerledi)\b|\bgiderek gelişiyor"
    r"|(?:पिछली|पिछले) (?:बार|कक्षा|हफ़्ते|हफ्ते|सप्ताह|पाठ) (?:से|की तुलना|के मुकाबले)|पहले से (?:बेहतर|अच्छ|तेज़)"
    r"|(?:बहुत|काफ़ी|काफी) सुधार"
    r"|比(?:上次|上一次|上节课|上一节课|上周|以前|之前|过去)|(?:与|跟|和)上(?:次|节课|周)[^。！？]{0,6}相比"
    r"|(?:很大|明显|不少)(?:的)?(?:进步|提高)|(?:进步|提高)了?(?:很多|很大|不少)|越来越好"
    r"|(?:من|عن|منذ) (?:المرة|الدرس|الحصة) (?:السابق|الماضي)|من ذي قبل|(?:تحسّ?ن|تقدّ?م)\w* كثير",
    re.IGNORECASE,
)
"""A comparison with an earlier lesson."""

ALONE: Final = re.compile(
    r"\b(?:kann|konnte|hat|löst\w*|rechnet\w*|schafft\w*)\b[^.!?]{0,60}\b(?:selbst?ständig|ohne (?:jede |fremde )?hilfe"
    r"|ganz alleine?)\b"
    r"|\b(?:puede|pudo|resolvió|resuelve|hizo|sabe|logró|ha resuelto)\b[^.!?]{0,60}\b(?:por sí (?:mism|sol)[oa]"
    r"|sin (?:ninguna )?ayuda|de (?:forma|manera) (?:independiente|autónoma))\b"
    r"|\b(?:peut|sait|a (?:su|pu|résolu|réussi)|résout)\b[^.!?]{0,60}\b(?:toute? seule?|sans (?:aucune )?aide"
    r"|en autonomie|de façon autonome)\b"
    r"|\b(?:consegue|conseguiu|pode|resolveu|resolve|fez)\b[^.!?]{0,60}\b(?:sozinh[oa]|sem (?:nenhuma )?ajuda|de forma "
    r"independente|com autonomia)\b"
    r"|\b(?:tek|kendi) başına\b[^.!?]{0,40}(?:yapab|çözeb|çözdü|yaptı|çözüyor|yapıyor)|\byardım(?:sız| almadan)\b"
    r"[^.!?]{0,40}(?:yapab|çözeb|çözdü|yaptı|çözüyor)"
    r"|(?:खुद|अकेले|अपने आप|बिना (?:किसी )?मदद(?: के)?)[^।!?]{0,40}(?:कर सकत|हल किया|हल कर लिया|कर लिया|सुलझा)"
    r"|(?:独立|独自|不用帮助|无需帮助)[^。！？]{0,12}(?:完成了|做出了|解出了|算出)|(?:能够?|可以|会)(?:独立|独自)"
    r"|(?:يستطيع|يمكنه|يمكنها|استطاع|تمكّ?ن|حلّ?)[^.!؟]{0,60}(?:بمفرد|وحده|وحدها|بلا مساعدة"
    r"|دون (?:أي )?مساعدة|بشكل مستقل)",
    re.IGNORECASE,
)
"""Something done without help, said as a fact."""

MASTERED: Final = re.compile(
    r"\b(?:beherrscht|gemeistert)\b|\b(?:vollständig|vollkommen|perfekt|komplett) verstanden\b"
    r"|\b(?:domina|dominó|ha dominado|dominio)\b|\b(?:entiende|comprende|sabe|entendió) (?:perfectamente"
    r"|a la perfección|completamente|por completo)\b"
    r"|\bmaîtris(?:e|é|ée)\b|\b(?:comprend|a compris|sait) (?:parfaitement|entièrement|complètement)\b"
    r"|\b(?:dominou|domínio)\b|\b(?:entende|entendeu|compreende|compreendeu|sabe) (?:perfeitamente|completamente"
    r"|totalmente)\b"
    r"|\b(?:tamamen|tam olarak|mükemmel|eksiksiz) (?:öğrendi|anladı|kavradı|biliyor)|\bustalaştı|\bhâkim\b"
    r"|महारत|पूरी तरह (?:से )?(?:समझ|सीख)"
    r"|掌握了|精通|(?:完全|彻底|完美地?)(?:掌握|理解|学会|懂)"
    r"|أتقن|إتقان|(?:فهم|يفهم|تفهم|استوعب)\w* [^.!؟]{0,30}(?:تمام|بشكل كامل|كليّ?)",
    re.IGNORECASE,
)
"""Something mastered."""

WHOLLY: Final = re.compile(
    r"\b(?:vollständig|vollkommen|perfekt|komplett|alles|alle)\b"
    r"|\b(?:perfectamente|a la perfección|completamente|por completo|todo|todos|todas)\b"
    r"|\b(?:parfaitement|entièrement|complètement|tout|tous|toutes)\b(?! seul)"
    r"|\b(?:perfeitamente|completamente|totalmente|tudo)\b"
    r"|\b(?:tamamen|tam olarak|mükemmel|eksiksiz|her şeyi|hepsini|tüm)\b"
    r"|पूरी तरह|सब कुछ|सभी|完全|彻底|完美|全部|所有|تمام|بشكل كامل|كليّ?|كل شيء|جميع",
    re.IGNORECASE,
)
"""All of it."""

GOAL_MET: Final = re.compile(
    r"\bziel\w*\b[^.!?]{0,20}\berreicht\b|\b(?:alcanzó|cumplió|logró) el objetivo\b"
    r"|\bobjectif\b[^.!?]{0,20}\batteint\b|\bobjetivo\b[^.!?]{0,20}\b(?:alcançado|atingido|cumprido)\b"
    r"|\bhedefe ulaş(?:ıldı|tı)\b"
    r"|लक्ष्य[^।!?]{0,20}पूरा (?:हुआ|हो गया)|目标[^。！？]{0,6}达到了|(?:بُلغ|بلغ|تحقّ?ق) (?:ال)?هدف",
    re.IGNORECASE,
)
"""A goal met, said as a fact."""

SUGGESTIONS: Final = re.compile(
    r"\b(?:versuch\w*|probier\w*|nächste\w*|übe\w*|soll\w*|wenn|ob|nicht|noch kein\w*)\b"
    r"|\b(?:intent\w*|próxim\w*|practi\w*|deje\w*|debería|si|no)\b|\b(?:essa\w*|prochain\w*|laiss\w*|devrait|pas)\b"
    r"|\b(?:tent\w*|prati\w*|deix\w*|deve\w*|se|não)\b|\b(?:dene\w*|sonraki|gelecek|eğer|değil)\b"
    r"|कोशिश|अगली|अगर|नहीं|ताकि|试|下次|接下来|练习|如果|是否|没有(?!帮助)|不(?!用帮助)|让"
    r"|حاول|جرّ?ب|القادم|إذا|هل |لم |يمكنكم",
    re.IGNORECASE,
)
"""What makes it something to try, to ask or to deny."""
