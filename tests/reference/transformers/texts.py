"""Texts in ten scripts and more: prompts, what the small tokenizers are trained on, and strings to be taken apart."""
from collections import Counter

PROMPTS = [
    "a video of a person abseiling",
    "a photo of someone air drumming",
    "people applauding after a show",
    "Une vidéo d'un garçon qui applaudit à l'été",
    "ein Mädchen trägt Creme auf, größer als früher",
    "ένας άνθρωπος χειροκροτεί",
    "αναρρίχηση στον βράχο",
    "человек аплодирует на сцене",
    "видео со спуском по верёвке",
    "شخص يصفق بعد العرض",
    "فيديو لشخص يتسلق الجبل",
    "אדם מוחא כפיים",
    "סרטון של מטפס הרים",
    "एक व्यक्ति ताली बजा रहा है",
    "पहाड़ पर चढ़ते हुए लोग",
    "คนกำลังปรบมือ",
    "一个人在鼓掌",
    "人が拍手している動画",
    "한 사람이 박수를 치고 있다",
    "a dog 🐕 and a cat 🐈 playing!",
]

# Further lines for training alone, so that common pairs become tokens.
CORPUS = PROMPTS + [
    "a video of a person playing the guitar, a video of a man riding a horse, a photo of a dog",
    "the cat sat on the mat and the dog ran after the ball while people were watching",
    "it's what they've said: we'll see, I'm sure you'd know they're here and don't care",
    "answering questions, applying cream, air drumming, arm wrestling, arranging flowers, assembling computer",
    "l'été, où êtes-vous? ça va très bien, merci; naïve, cœur, Noël, año, niño, übermäßig, straße",
    "ο άνθρωπος και η θάλασσα, το παιδί παίζει στην παραλία",
    "человек играет на гитаре, люди смотрят видео, собака бежит за мячом",
    "الرجل يعزف على الجيتار والناس يشاهدون الفيديو",
    "האיש מנגן בגיטרה והאנשים צופים בסרטון",
    "आदमी गिटार बजा रहा है और लोग देख रहे हैं",
    "ผู้ชายกำลังเล่นกีตาร์ และ คนกำลังดูวิดีโอ",
    "一个人在弹吉他 很多人在看视频 一只狗在跑",
    "人がギターを弾いている 犬が走っている 動画を見る",
    "한 사람이 기타를 치고 있다 사람들이 동영상을 보고 있다",
    "2024 1999 100 25 3.14 2:30 50% $20 #1 a+b=c",
]

STRINGS = PROMPTS + [
    "",
    " ",
    "\t\n  ",
    "a",
    "A VIDEO OF A PERSON",
    "  leading and trailing  ",
    "two  spaces   three",
    "tab\there and\nnewline\r\nboth",
    "non\u00a0breaking\u2003em space\u3000ideographic",
    "zero\u200bwidth\u200djoiner and \ufeffBOM",
    "don't, won't, we've, they're, I'll, she'd, it's",
    "DON'T IT'S WE'RE",
    "'sample 'tis rock'n'roll 'S",
    "3.14159, 1,000,000 and 2024-11-25",
    "½ ² ³ ① Ⅳ ٣ ४",
    "C++ & C#: a+b=c; (x*y)/z != [0]{1}",
    "...!!!???—–‐-_~`^|\\",
    "\"quoted\" ‘curly’ “double” «guillemets»",
    "e\u0301te\u0301 (decomposed) and \u00e9t\u00e9 (composed)",
    "Ångström naïve façade Straße İstanbul ﬁne ﬀ",
    "ΟΔΥΣΣΕΥΣ σοφός ΑΝΘΡΩΠΟΣ",
    "ЧЕЛОВЕК Ёлка Їжак",
    "مُحَمَّد العَرَبِيّة، ١٢٣؟",
    "שָׁלוֹם עוֹלָם",
    "क्षत्रिय ज्ञान हिन्दी १२३",
    "ภาษาไทย น้ำ ๑๒๓",
    "漢字とカタカナとひらがな。「引用」",
    "繁體中文、简体中文！ＡＢＣ１２３",
    "한글 ㄱㄴㄷ 한",
    "தமிழ் తెలుగు ქართული Հայերեն አማርኛ",
    "👍🏽 👩‍👩‍👧‍👦 🇩🇪 ❤️ 😀😀😀",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠜎 \U0001F9FF",
    "<|startoftext|>inside<|endoftext|>",
    "<|STARTOFTEXT|> <|endoftext|> <s> </s> <pad> <eos> <bos> <unk>",
    "https://example.com/a?b=c&d=%20#e me@example.org",
    "snake_case camelCase kebab-case 4x4 mp3 h264",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "a long text that has far more words than the small text tower has positions, so that it has to be cut, and"
    " then it goes on for a while and names a person, a video, a dog and a cat playing the guitar on the mat",
    "control \u0000\u0001\u001f\u007f characters",
    "ab\u0308c\u0327 stacked a\u0300\u0301\u0302",
    "▁underline▁piece and _real_ one",
]


def learn_merges(words, count):
    """Byte pair encoding of {(symbol, ...): how often}: the merges, the commonest pair first, ties by their text.

    The trainer of `tokenizers` answers differently from run to run where pairs are equally common.
    """
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for word, often in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += often
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        joined = Counter()
        for word, often in words.items():
            made, i = [], 0
            while i < len(word):
                step = 2 if word[i : i + 2] == best else 1
                made.append("".join(word[i : i + step]))
                i += step
            joined[tuple(made)] += often
        words = joined
    return merges
