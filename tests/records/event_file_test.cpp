// Tests of event files for TensorBoard, with a reader that shares no code with the writer.
#include "records/event_file.h"

#include <cmath>
#include <cstring>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "files/test_files.h"
#include "records/tensorboard.h"

namespace hipgpt {
namespace {

namespace fs = std::filesystem;

/// CRC-32C computed bit by bit from its definition: the remainder of the reflected message.
uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char c : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool carry = (crc ^ (static_cast<unsigned char>(c) >> bit)) & 1;
      crc >>= 1;
      if (carry) crc ^= 0x82F63B78;
    }
  }
  return crc ^ 0xFFFFFFFF;
}

uint32_t unmasked(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8u;
  return rotated << 15 | rotated >> 17;
}

template <typename T>
T number_at(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.substr(at).data(), sizeof(T));
  return value;
}

/// A protocol buffer: the values of each field number, with numbers as their bits.
struct Message {
  std::map<int, std::vector<std::string>> bytes;
  std::map<int, std::vector<uint64_t>> numbers;

  explicit Message(std::string_view text) {
    while (!text.empty()) {
      const uint64_t key = varint(text);
      const int number = static_cast<int>(key >> 3);
      size_t taken = 0;
      switch (key & 7) {
        case 0: numbers[number].push_back(varint(text)); break;
        case 1: numbers[number].push_back(number_at<uint64_t>(text, 0)), taken = 8; break;
        case 5: numbers[number].push_back(number_at<uint32_t>(text, 0)), taken = 4; break;
        case 2:
          taken = varint(text);
          bytes[number].emplace_back(text.substr(0, taken));
          break;
        default: ADD_FAILURE() << "wire type of key " << key;
      }
      if (taken > text.size()) throw Error("a field is longer than its message");
      text.remove_prefix(taken);
    }
  }

  Message in(int number) const { return Message(bytes.at(number).at(0)); }
  double real() const { return std::bit_cast<double>(numbers.at(1).at(0)); }
  int64_t integer(int number) const {
    return numbers.contains(number) ? static_cast<int64_t>(numbers.at(number).at(0)) : 0;
  }

 private:
  static uint64_t varint(std::string_view& text) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(text.at(0));
      text.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
  }
};

/// Returns the events of a file and checks the frames around them.
std::vector<Message> events_in(const std::string& path) {
  const std::string file = read_all(path);
  std::vector<Message> events;
  for (std::string_view rest = file; !rest.empty();) {
    const auto length = number_at<uint64_t>(rest, 0);
    EXPECT_EQ(unmasked(number_at<uint32_t>(rest, 8)), crc32c(rest.substr(0, 8)));
    const std::string_view event = rest.substr(12, length);
    EXPECT_EQ(unmasked(number_at<uint32_t>(rest, 12 + length)), crc32c(event));
    events.emplace_back(event);
    rest.remove_prefix(length + 16);
  }
  return events;
}

struct ScalarRead {
  std::string tag;
  float value;
  bool operator==(const ScalarRead&) const = default;
};

std::vector<ScalarRead> scalars_of(const Message& event) {
  std::vector<ScalarRead> scalars;
  const Message summary = event.in(5);
  for (const std::string& bytes : summary.bytes.at(1)) {
    const Message value(bytes);
    scalars.push_back(
        {value.bytes.at(1).at(0), std::bit_cast<float>(static_cast<uint32_t>(value.numbers.at(2).at(0)))});
  }
  return scalars;
}

/// Returns the text of an event and checks its tensor and metadata.
std::string text_of(const Message& event, const std::string& tag) {
  const Message value = event.in(5).in(1);
  EXPECT_EQ(value.bytes.at(1).at(0), tag);
  const Message tensor = value.in(8);
  EXPECT_EQ(tensor.integer(1), 7);                         // DT_STRING
  EXPECT_EQ(tensor.in(2).in(2).integer(1), 1);             // its shape is [1]
  EXPECT_EQ(value.in(9).in(1).bytes.at(1).at(0), "text");  // the plugin
  EXPECT_EQ(value.in(9).integer(4), 2);                    // DATA_CLASS_TENSOR
  return tensor.bytes.at(8).at(0);
}

using EventFileTest = FilesTest;

TEST_F(EventFileTest, TheReadersChecksumMatchesTheStandard) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
}

TEST_F(EventFileTest, BeginsWithItsVersionAndTheStartOfASession) {
  const double before = static_cast<double>(std::time(nullptr));
  const EventFile file(path("made/on the way"), 41);
  const auto events = events_in(file.path());
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].bytes.at(3).at(0), "brain.Event:2");
  EXPECT_GE(events[0].real(), before);
  EXPECT_LE(events[0].real(), before + 60);
  EXPECT_EQ(events[1].integer(2), 41);
  EXPECT_EQ(events[1].in(7).integer(1), 1);  // SessionLog.START
}

TEST_F(EventFileTest, ScalarsRoundTripInSinglePrecision) {
  EventFile file(path("tb"), 1);
  const EventFile::Scalar scalars[] = {{"train/loss", 1.0 / 3}, {"train/lr", 3e-4}};
  file.scalars(7, scalars);
  const EventFile::Scalar odd[] = {{"a", -0.0}, {"b", INFINITY}, {"c", 1e-300}};
  file.scalars(int64_t{1} << 40, odd);
  const auto events = events_in(file.path());  // every event is on the disk as soon as it is written
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[2].integer(2), 7);
  EXPECT_EQ(scalars_of(events[2]),
            (std::vector<ScalarRead>{{"train/loss", float(1.0 / 3)}, {"train/lr", 3e-4f}}));
  EXPECT_EQ(events[3].integer(2), int64_t{1} << 40);
  EXPECT_EQ(scalars_of(events[3]), (std::vector<ScalarRead>{{"a", 0.0f}, {"b", INFINITY}, {"c", 0.0f}}));
}

TEST_F(EventFileTest, TextsOfAnyLengthRoundTrip) {
  EventFile file(path("tb"), 1);
  for (const size_t length : {0u, 1u, 127u, 128u, 300u, 70000u}) {
    const std::string text = std::string(length, 'x') + "\nR\u00e9sum\u00e9";
    file.text(3, "run/sample", text);
    EXPECT_EQ(text_of(events_in(file.path()).back(), "run/sample"), text);
  }
}

TEST_F(EventFileTest, NamesSortInTheOrderOfTheRuns) {
  // This holds even if the clock was set back: these files are from the future.
  const auto future = std::to_string(std::time(nullptr) + 100000);
  fs::create_directory(path("tb"));
  write_all(path("tb/events.out.tfevents." + future + ".zebra.99999.0"), "");
  write_all(path("tb/events.out.tfevents.nonsense"), "");
  std::string previous = path("tb/events.out.tfevents." + future + ".zebra.99999.0");
  for (int i = 0; i < 3; ++i) {
    const EventFile file(path("tb"), 1);
    EXPECT_GT(file.path(), previous);
    previous = file.path();
  }
  const std::string name = fs::path(previous).filename();
  EXPECT_TRUE(name.ends_with("." + std::to_string(getpid()) + ".0")) << name;
}

TEST_F(EventFileTest, AFolderThatCannotBeMadeIsAnError) {
  write_all(path("file"), "a file");
  EXPECT_TRUE(says(error_of([&] { EventFile file(path("file"), 1); }), path("file")));
  EXPECT_TRUE(says(error_of([&] { EventFile file(path("file/below"), 1); }), path("file/below")));
}

// ---- What TensorBoard shows of a run

class TensorBoardTest : public FilesTest {
 protected:
  std::vector<Message> events() const {
    return events_in(fs::directory_iterator(path("tb"))->path().string());
  }
};

TEST_F(TensorBoardTest, RecordsBecomeScalarsAndTexts) {
  TensorBoard board(path("tb"), 5);
  board.write({{"run", {{"name", "a|b"}, {"dim", 128}, {"lr", 0.003f}, {"command", "train_gpt --dim 128"}}}});
  board.write({{"step", 5},
               {"loss", 2.5},
               {"lr", 0.25},
               {"grad_norm", 1.5},
               {"tokens_per_s", 1000.0},
               {"elapsed_s", 1.0}});
  board.write({{"step", 6}, {"val_loss", 3.5}, {"elapsed_s", 2.0}});
  board.write({{"step", 6}, {"prompt", "To be"}, {"sample", ", or ```not"}, {"elapsed_s", 2.0}});
  const auto all = events();
  ASSERT_EQ(all.size(), 6u);
  EXPECT_EQ(all[2].integer(2), 5);
  const std::string settings = text_of(all[2], "run/settings");
  for (const char* part : {"| E, embedding | 128 |", "| lr | 0.003 |", "train_gpt --dim 128"}) {
    EXPECT_NE(settings.find(part), std::string::npos) << settings;
  }
  EXPECT_EQ(all[3].integer(2), 5);
  EXPECT_EQ(scalars_of(all[3]), (std::vector<ScalarRead>{{"train/loss", 2.5f},
                                                         {"train/lr", 0.25f},
                                                         {"train/grad_norm", 1.5f},
                                                         {"train/tokens_per_s", 1000.0f}}));
  EXPECT_EQ(scalars_of(all[4]), (std::vector<ScalarRead>{{"val/loss", 3.5f}}));
  EXPECT_EQ(text_of(all[5], "run/sample"), "\n````text\nTo be, or ```not\n````\n");
}

}  // namespace
}  // namespace hipgpt
