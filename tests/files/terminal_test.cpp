// Tests of the text that may be sent to a terminal.
#include "util/terminal.h"

#include "files/test_files.h"

namespace hipgpt {
namespace {

TEST(TerminalText, KeepsWhatIsText) {
  for (const char* text : {"", "a\tb\nc", "\u00e9\u4e16\U0001F600", "\u05d0\u0627", "\u200b\u200d\uFFFD"}) {
    EXPECT_EQ(terminal_text(text), text);
  }
}

TEST(TerminalText, ShowsEveryControlCharacterAndNoOther) {
  for (int c = 0; c < 0x80; ++c) {
    const std::string text(1, static_cast<char>(c));
    const bool obeyed = (c < 0x20 && c != '\t' && c != '\n') || c == 0x7F;
    EXPECT_EQ(terminal_text(text), obeyed ? "\uFFFD" : text) << c;
  }
  for (int c = 0x80; c <= 0xBF; ++c) {  // U+0080 to U+00BF; the first 32 are C1
    const std::string text = {'\xC2', static_cast<char>(c)};
    EXPECT_EQ(terminal_text(text), c < 0xA0 ? "\uFFFD" : text) << c;
  }
}

TEST(TerminalText, ShowsBidirectionalControls) {
  for (const char* control : {"\u061C", "\u200E", "\u200F", "\u202A", "\u202B", "\u202C", "\u202D", "\u202E",
                              "\u2066", "\u2067", "\u2068", "\u2069"}) {
    EXPECT_EQ(terminal_text(std::string("a") + control + "b"), "a\uFFFDb");
  }
  EXPECT_EQ(terminal_text("\u2029\u202F\u2065\u206A"), "\u2029\u202F\u2065\u206A");  // their neighbours stay
}

TEST(TerminalText, ShowsBytesThatAreNotUtf8) {
  EXPECT_EQ(terminal_text("a\x9b"
                          "31mb"),
            "a\uFFFD31mb");  // CSI as one byte
  EXPECT_EQ(terminal_text("\xE4\xB8"), "\uFFFD");
}

}  // namespace
}  // namespace hipgpt
