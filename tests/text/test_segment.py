"""Words of eight languages: ten sentences each, with spaces where a reader would part the words."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from flip.errors import UnavailableError
from flip.text import segment
from flip.text.align import Reader
from flip.text.languages import unspaced_language
from flip.text.segment import Unspaced, parts, segments, sentences
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import Vocabulary, build_vocabulary
from tests.conftest import Flip

CHINESE = """
今天 天气 很 好 ， 我们 去 公园 散步 。
他 昨天 在 北京 买 了 一 本 关于 中国 历史 的 书 。
医生 说 这种 药物 可能 会 引起 头痛 。
由于 大雨 ， 开往 上海 的 火车 晚点 了 两个 小时 。
政府 宣布 了 新 的 经济 政策 。
孩子们 在 花园 里 踢 足球 。
这家 公司 的 股票 价格 大幅 下跌 。
我 喜欢 喝 绿茶 ， 但是 不 喜欢 咖啡 。
科学家 发现 了 一 种 新 的 病毒 。
她 每天 坐 地铁 去 大学 上课 。
"""
JAPANESE = """
今日 は 天気 が いい ので 、 公園 を 散歩 し ます 。
彼 は 昨日 東京 で 歴史 の 本 を 買い まし た 。
大雨 の ため 、 大阪 行き の 電車 が 遅れ て い ます 。
医者 は この 薬 で 頭痛 が 起こる と 言っ た 。
政府 は 新しい 経済 政策 を 発表 し た 。
子供 たち が 庭 で サッカー を し て い ます 。
会社 の 株価 が 大きく 下がっ た 。
コーヒー より 緑茶 の 方 が 好き です 。
科学者 が 新しい ウイルス を 発見 し た 。
彼女 は 毎日 地下鉄 で 大学 に 通っ て い ます 。
"""
THAI = """
วันนี้ อากาศ ดี มาก เรา ไป เดินเล่น ที่ สวนสาธารณะ
เขา ซื้อ หนังสือ ประวัติศาสตร์ ที่ กรุงเทพ เมื่อวานนี้
หมอ บอก ว่า ยา นี้ อาจ ทำให้ ปวดหัว
รถไฟ ไป เชียงใหม่ มา ช้า เพราะ ฝนตก หนัก
รัฐบาล ประกาศ นโยบาย เศรษฐกิจ ใหม่
เด็กๆ เล่น ฟุตบอล ใน สวน
ราคา หุ้น ของ บริษัท ลดลง มาก
ฉัน ชอบ ดื่ม ชาเขียว แต่ ไม่ ชอบ กาแฟ
นักวิทยาศาสตร์ ค้นพบ ไวรัส ชนิด ใหม่
เธอ นั่ง รถไฟฟ้า ไป มหาวิทยาลัย ทุกวัน
"""
UNSPACED: list[tuple[Unspaced, str, float]] = [
    ("chinese", CHINESE, 0.8),
    ("japanese", JAPANESE, 0.95),
    ("thai", THAI, 0.8),
]
SPACED = {
    "korean": """
오늘은 날씨가 좋아서 공원을 산책합니다.
그는 어제 서울에서 역사책을 샀다.
폭우 때문에 부산행 기차가 두 시간 늦었다.
의사는 이 약이 두통을 일으킬 수 있다고 말했다.
정부는 새로운 경제 정책을 발표했다.
아이들이 정원에서 축구를 합니다.
회사의 주가가 크게 떨어졌다.
저는 커피보다 녹차를 좋아합니다.
과학자들이 새로운 바이러스를 발견했다.
그녀는 매일 지하철로 대학교에 다닌다.
""",
    "hindi": """
आज मौसम अच्छा है, हम पार्क में टहलने जाते हैं।
उसने कल दिल्ली में इतिहास की एक किताब खरीदी।
भारी बारिश के कारण मुंबई की ट्रेन दो घंटे देर से आई।
डॉक्टर ने कहा कि इस दवा से सिरदर्द हो सकता है।
सरकार ने नई आर्थिक नीति की घोषणा की।
बच्चे बगीचे में फुटबॉल खेल रहे हैं।
कंपनी के शेयरों की कीमत बहुत गिर गई।
मुझे चाय पसंद है, लेकिन कॉफ़ी नहीं।
वैज्ञानिकों ने एक नए वायरस की खोज की।
वह रोज़ मेट्रो से विश्वविद्यालय जाती है।
""",
    "arabic": """
الطقس جميل اليوم، لذلك نذهب إلى الحديقة.
اشترى أمس كتابًا عن تاريخ مصر في القاهرة.
تأخر القطار المتجه إلى الإسكندرية ساعتين بسبب المطر.
قال الطبيب إن هذا الدواء قد يسبب الصداع.
أعلنت الحكومة سياسة اقتصادية جديدة.
يلعب الأطفال كرة القدم في الحديقة.
انخفض سعر أسهم الشركة كثيرًا.
أحب الشاي، لكنني لا أحب القهوة.
اكتشف العلماء فيروسًا جديدًا.
تذهب كل يوم إلى الجامعة بالمترو.
""",
    "vietnamese": """
Hôm nay trời đẹp, chúng tôi đi dạo trong công viên.
Hôm qua anh ấy mua một quyển sách lịch sử ở Hà Nội.
Vì mưa lớn, chuyến tàu đi Huế bị trễ hai tiếng.
Bác sĩ nói thuốc này có thể gây đau đầu.
Chính phủ công bố chính sách kinh tế mới.
Trẻ em chơi bóng đá trong vườn.
Giá cổ phiếu của công ty giảm mạnh.
Tôi thích uống trà xanh nhưng không thích cà phê.
Các nhà khoa học phát hiện một loại vi rút mới.
Mỗi ngày cô ấy đi tàu điện ngầm đến trường đại học.
""",
    "turkish": """
Bugün hava güzel, parkta yürüyüşe çıkıyoruz.
Dün İstanbul'da bir tarih kitabı aldı.
Şiddetli yağmur yüzünden Ankara treni iki saat gecikti.
Doktor bu ilacın baş ağrısı yapabileceğini söyledi.
Hükümet yeni ekonomi politikasını açıkladı.
Çocuklar bahçede futbol oynuyor.
Şirketin hisse senedi fiyatları çok düştü.
Yeşil çayı severim ama kahveyi sevmem.
Bilim insanları yeni bir virüs keşfetti.
Her gün üniversiteye metroyla gidiyor.
""",
}


def lines(page: str) -> list[str]:
    return page.strip().split("\n")


def spans(words: list[str]) -> set[tuple[int, int]]:
    """Start and end of each word in the text without spaces; signs are no words."""
    found, start = set(), 0
    for word in words:
        if word not in "，。、":
            found.add((start, start + len(word)))
        start += len(word)
    return found


@pytest.mark.parametrize(("language", "page", "least"), UNSPACED)
def test_words_are_those_that_a_reader_marks(language: Unspaced, page: str, least: float) -> None:
    right = marked = found = 0
    for line in lines(page):
        theirs, ours = spans(line.split()), set(segments("".join(line.split()), language))
        right, marked, found = right + len(theirs & ours), marked + len(theirs), found + len(ours)
    assert 2 * right / (marked + found) >= least


@pytest.mark.parametrize("page", SPACED.values(), ids=SPACED)
def test_words_between_spaces_come_out_whole_with_their_marks(page: str) -> None:
    for line in lines(page):
        bare = [word.strip(".,،।").replace("'", "").replace("İ", "i").lower() for word in line.split()]
        assert Tokenizer().words(line) == [word for word in bare if len(word) > 1]


@pytest.mark.parametrize(("language", "page", "_"), UNSPACED)
def test_the_script_of_the_text_chooses_the_tokenizer(language: Unspaced, page: str, _: float) -> None:
    assert unspaced_language(lines(page.replace(" ", ""))) == language


@pytest.mark.parametrize("page", SPACED.values(), ids=SPACED)
def test_spaced_text_needs_no_dictionary(page: str) -> None:
    assert unspaced_language(lines(page)) is None


@pytest.mark.parametrize(("language", "page", "_"), UNSPACED)
def test_a_text_is_marked_by_the_words_of_its_vocabulary(language: Unspaced, page: str, _: float) -> None:
    """The pieces on screen are the words that training counted, wherever punctuation stands."""
    texts = [line.replace(" ", "") for line in lines(page)]
    vocabulary = build_vocabulary(texts, Tokenizer(language))
    reader = Reader(vocabulary)
    for text in texts:
        pieces = reader.pieces(f"“{text}” 2kg!")
        assert "".join(piece.text for piece in pieces) == f"“{text}” 2kg!"
        words = [word for piece in pieces for word in piece.words]
        assert words == [*vocabulary.tokenizer(text), "2kg"]
        assert all(len(piece.words) <= 1 for piece in pieces)


def test_the_tokenizer_is_stored_with_the_vocabulary(tmp_path: Path) -> None:
    vocabulary = Vocabulary(("绿茶",), Tokenizer("chinese"))
    assert Tokenizer.from_dict(vocabulary.options["tokenizer"], "here").words("我喜欢绿茶。") == ["我", "喜欢", "绿茶"]


def test_a_missing_dictionary_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rjieba", None)
    segment._dictionary.cache_clear()
    with pytest.raises(UnavailableError, match="package rjieba, which is not installed") as caught:
        Tokenizer("chinese").words("今天")
    assert "flip-interpret[words]" in (caught.value.hint or "")


@pytest.mark.parametrize(("language", "page", "_"), UNSPACED)
def test_flip_vocab_takes_the_tokenizer_of_the_script(
    flip: Flip, here: Path, language: Unspaced, page: str, _: float
) -> None:
    (here / "text.txt").write_text(page.replace(" ", ""), encoding="utf-8")
    assert flip("vocab", "text.txt", "-o", "vocab.json").records[0]["tokenizer"] == language
    assert flip("vocab", "text.txt", "-o", "u.json", "--tokenizer", "unicode").records[0]["tokenizer"] == "unicode"
    assert Vocabulary.load(here / "vocab.json").tokenizer.name == language


TEXTS = {
    "en": ("Dr. Smith paid $3.50 for it, e.g. in Jan. 2020. Did he? Yes.", 3),
    "de": ("Am 3. Mai kam Dr. Müller, z. B. mit dem Zug. Dann ging er.", 2),
    "zh": ("今天天气很好。我们去公园吧!你觉得呢?", 3),
    "hi": ("यह अच्छा है। हम जाते हैं।", 2),
    "ar": ("هذا جيد. هل تعرف؟ نعم.", 3),
    "hy": ("Սա լավ է։ Այո։", 2),
    "xx": ("Unu frazo. Dua frazo.", 2),
}


@pytest.mark.parametrize("language", TEXTS)
def test_sentences_of_many_languages_are_the_text_again(language: str) -> None:
    text, count = TEXTS[language]
    found = sentences(text, language)
    assert "".join(found) == text
    assert len(found) == count


@pytest.mark.parametrize("most", [1, 3, 5, 200])
@pytest.mark.parametrize("language", TEXTS)
def test_parts_hold_all_of_the_text_and_no_more_words_than_are_asked_for(language: str, most: int) -> None:
    text, _ = TEXTS[language]
    found = parts(text, most, language)
    assert re.sub(r"\s", "", "".join(found)) == re.sub(r"\s", "", text)
    assert all(len(parts(part, most, language)) == 1 for part in found)
    if language == "xx":
        assert all(len(part.split()) <= most for part in found)


def test_whole_sentences_stay_together_as_far_as_they_fit() -> None:
    assert parts("One two. Three four. Five.", 4) == ["One two. Three four.", "Five."]
    assert parts("One two three four five. Six.", 2) == ["One two", "three four", "five. Six."]
    assert parts("One two. Three.", 100) == ["One two. Three."]
    assert parts("  ", 5) == []
