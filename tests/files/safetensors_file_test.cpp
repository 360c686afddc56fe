#include "safetensors_file.h"
#include "checkpoint/write_checkpoint.h"

#include <cstring>

#include "test_files.h"

namespace hipgpt {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string le64(uint64_t value) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &value, 8);
  return bytes;
}

/// Returns a file as another program might have written it.
std::string foreign(const std::string& header, const std::string& data = "") {
  return le64(header.size()) + header + data;
}

class SafetensorsFileTest : public FilesTest {
 protected:
  SafetensorsFile open_bytes(const std::string& bytes) const {
    write_all(path("f"), bytes);
    return SafetensorsFile::open(path("f"));
  }
  std::string error_with(const std::string& bytes) const {
    return error_of([&] { open_bytes(bytes); });
  }
  /// Returns the error for a file with a valid tensor "a" of 4 bytes and one more entry.
  std::string error_with_entry(const std::string& entry, const std::string& data = "12345678") const {
    return error_with(
        foreign(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)" + entry + "}", data));
  }

  void write_sample() const {
    const float values[6] = {1, 2, 3, 4, 5, 6};
    const std::vector<SafetensorsTensor> tensors = {
        {"odd", "U8", {3}, bytes_of("xyz")},
        {"weight", "F32", {2, 3}, std::as_bytes(std::span(values))},
        {"half", "BF16", {1}, bytes_of("hh")},
        {"nothing", "F32", {0, 5}, {}},
        {"scalar", "I64", {}, bytes_of("88888888")},
    };
    write_safetensors(path("sample"), tensors, {{"step", "7"}, {"quote", "\"\\\n\u00e9"}});
  }
};

TEST_F(SafetensorsFileTest, ReturnsWhatWasWritten) {
  write_sample();
  const SafetensorsFile file = SafetensorsFile::open(path("sample"));
  EXPECT_TRUE(file.has_checksum());
  EXPECT_EQ(file.metadata().at("step"), "7");
  EXPECT_EQ(file.metadata().at("quote"), "\"\\\n\u00e9");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  ASSERT_EQ(file.tensors().size(), 5u);
  const SafetensorsTensor& weight = file.tensor("weight");
  EXPECT_EQ(weight.dtype, "F32");
  EXPECT_EQ(weight.shape, (std::vector<uint64_t>{2, 3}));
  float values[6];
  ASSERT_EQ(weight.bytes.size(), sizeof(values));
  std::memcpy(values, weight.bytes.data(), sizeof(values));
  EXPECT_EQ(values[5], 6.0f);
  EXPECT_EQ(text_of(file.tensor("odd").bytes), "xyz");
  EXPECT_EQ(text_of(file.tensor("half").bytes), "hh");
  EXPECT_TRUE(file.tensor("nothing").bytes.empty());
  EXPECT_TRUE(file.tensor("scalar").shape.empty());
}

TEST_F(SafetensorsFileTest, TensorsAreAligned) {
  write_sample();
  const SafetensorsFile file = SafetensorsFile::open(path("sample"));
  const auto address = [&](const char* name) {
    return reinterpret_cast<uintptr_t>(file.tensor(name).bytes.data());
  };
  EXPECT_EQ(address("scalar") % 64, 0u);  // the widest elements come first
  EXPECT_EQ(address("weight") % 4, 0u);
  EXPECT_EQ(address("half") % 2, 0u);
}

TEST_F(SafetensorsFileTest, TensorsOfOneDtypeKeepTheirOrder) {
  const std::vector<SafetensorsTensor> tensors = {
      {"z", "U8", {1}, bytes_of("1")}, {"a", "U8", {1}, bytes_of("2")}, {"m", "U8", {1}, bytes_of("3")}};
  write_safetensors(path("f"), tensors, {});
  const SafetensorsFile file = SafetensorsFile::open(path("f"));
  EXPECT_EQ(file.tensors()[0].name + file.tensors()[1].name + file.tensors()[2].name, "zam");
  EXPECT_EQ(file.tensor("z").bytes.data() + 2, file.tensor("m").bytes.data());
}

TEST_F(SafetensorsFileTest, ReadMetadataMayBeWrittenAgain) {
  write_sample();
  const SafetensorsFile first = SafetensorsFile::open(path("sample"));
  write_safetensors(path("again"), std::span(first.tensors()).first(1), first.metadata());
  const SafetensorsFile again = SafetensorsFile::open(path("again"));
  EXPECT_TRUE(again.has_checksum());
  EXPECT_NE(again.metadata().at("checksum"), first.metadata().at("checksum"));
}

TEST_F(SafetensorsFileTest, MayHoldNoTensors) {
  write_safetensors(path("f"), {}, {});
  EXPECT_TRUE(SafetensorsFile::open(path("f")).tensors().empty());
  EXPECT_TRUE(open_bytes(foreign("{}")).metadata().empty());
}

TEST_F(SafetensorsFileTest, NamesTheTensorThatIsMissing) {
  write_sample();
  const SafetensorsFile file = SafetensorsFile::open(path("sample"));
  EXPECT_EQ(file.find("wte.weight"), nullptr);
  EXPECT_NE(file.find("weight"), nullptr);
  EXPECT_TRUE(says(error_of([&] { file.tensor("wte.weight"); }), "has no tensor \"wte.weight\" among its 5"));
}

TEST_F(SafetensorsFileTest, CopiesOutliveTheFileAndItsFirstHandle) {
  write_sample();
  const SafetensorsFile copy = [&] { return SafetensorsFile(SafetensorsFile::open(path("sample"))); }();
  std::filesystem::remove(path("sample"));
  EXPECT_EQ(text_of(copy.tensor("odd").bytes), "xyz");
}

TEST_F(SafetensorsFileTest, EveryFlippedBitIsNoticed) {
  write_sample();
  const std::string good = read_all(path("sample"));
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    EXPECT_TRUE(says(error_with(bytes), path("f") + ": ")) << "bit " << bit % 8 << " of byte " << bit / 8;
  }
}

/// The change is detected although the new header makes sense, whatever the length of the header.
TEST_F(SafetensorsFileTest, TheChecksumCoversTheHeaderToItsEnd) {
  for (size_t length = 0; length < 64; ++length) {
    const std::vector<SafetensorsTensor> tensors = {{"t", "U8", {2, 3}, bytes_of("abcdef")}};
    write_safetensors(path("f"), tensors, {{"note", std::string(length, 'x')}});
    std::string bytes = read_all(path("f"));
    bytes.replace(bytes.find("[2,3]"), 5, "[3,2]");
    EXPECT_TRUE(says(error_with(bytes), "checksum of the header")) << length;
  }
}

TEST_F(SafetensorsFileTest, EveryTruncationIsNoticed) {
  write_sample();
  const std::string good = read_all(path("sample"));
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_TRUE(says(error_with(good.substr(0, length)), path("f") + ": ")) << "length " << length;
  }
  EXPECT_TRUE(says(error_with(good + '\0'), "1 byte after the last tensor"));
}

TEST_F(SafetensorsFileTest, TheMessageSaysWhichPartIsDamaged) {
  write_sample();
  const std::string good = read_all(path("sample"));
  std::string bytes = good;
  bytes.back() ^= 1;
  EXPECT_TRUE(says(error_with(bytes), "checksum of the tensors does not match"));
  bytes = good;
  bytes.replace(bytes.find("\"7\""), 3, "\"8\"");
  EXPECT_TRUE(says(error_with(bytes), "checksum of the header does not match"));
  bytes = good;
  bytes.replace(bytes.find("\"checksum\""), 10, "\"checksun\"");
  EXPECT_TRUE(says(error_with(bytes), "only one of its two checksums"));
}

TEST_F(SafetensorsFileTest, OpensFilesOfOtherPrograms) {
  const std::string header =
      R"({ "b" : {"shape":[2],"data_offsets":[1,5],"dtype":"F16"}, "a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}  )";
  const SafetensorsFile file = open_bytes(foreign(header, "abbbb"));
  EXPECT_FALSE(file.has_checksum());
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(text_of(file.tensor("b").bytes), "bbbb");
}

TEST_F(SafetensorsFileTest, RefusesFilesThatAreNotSafetensors) {
  EXPECT_TRUE(says(error_with(""), "empty file"));
  EXPECT_TRUE(says(error_with("short"), "not a safetensors file"));
  EXPECT_TRUE(says(error_with("\x89PNG\r\n\x1a\n and many more bytes"), "not a safetensors file"));
  EXPECT_TRUE(says(error_with(std::string(1000, '\0')), "not a safetensors file"));
  EXPECT_TRUE(says(error_with("To be, or not to be: that is the question"), "not a safetensors file"));
  EXPECT_TRUE(says(error_with(le64(1000) + "{}"), "it ends before its header of 1,000 bytes"));
  EXPECT_TRUE(says(error_with(le64(UINT64_MAX) + "{}"), "not a safetensors file"));
  EXPECT_TRUE(says(error_with(foreign("[]")), "not a JSON object"));
  EXPECT_TRUE(says(error_with(foreign(" {}")), "not a JSON object"));
  EXPECT_TRUE(says(error_with(foreign("{} x")), "its header is not JSON (wrong or cut off at byte 4)"));
  EXPECT_TRUE(says(error_with(foreign("{\"\xff\":1}")), "its header is not JSON"));
  EXPECT_TRUE(says(error_with(foreign(std::string("{}\0x", 4))), "a zero byte"));
  EXPECT_TRUE(
      says(error_with(foreign("{\"a\":" + std::string(100'000, '[') + "}")), "nested deeper than 32 levels"));
  EXPECT_TRUE(says(error_of([&] { SafetensorsFile::open(folder_); }), "is a folder"));
  EXPECT_TRUE(says(error_of([&] { SafetensorsFile::open(path("missing")); }), "no such file"));
}

TEST_F(SafetensorsFileTest, RefusesEntriesThatAreNotTensors) {
  const char* needs = "it needs a dtype, a shape and two data_offsets";
  for (const char* entry : {
           R"("b":5)",
           R"("b":{})",
           R"("b":{"dtype":"U8","shape":[4]})",
           R"("b":{"dtype":8,"shape":[4],"data_offsets":[4,8]})",
           R"("b":{"dtype":"U8","shape":4,"data_offsets":[4,8]})",
           R"("b":{"dtype":"U8","shape":[-4],"data_offsets":[4,8]})",
           R"("b":{"dtype":"U8","shape":[4.0],"data_offsets":[4,8]})",
           R"("b":{"dtype":"U8","shape":[99999999999999999999999],"data_offsets":[4,8]})",
           R"("b":{"dtype":"U8","shape":[true],"data_offsets":[4,8]})",
           R"("b":{"dtype":"U8","shape":[4],"data_offsets":[4]})",
           R"("b":{"dtype":"U8","shape":[4],"data_offsets":[4,8,12]})",
           R"("b":{"dtype":"U8","shape":[4],"data_offsets":["4",8]})",
           R"("b":{"dtype":"U8","shape":[4],"data_offsets":[4,8],"more":1})",
       }) {
    EXPECT_TRUE(says(error_with_entry(entry), needs)) << entry;
  }
}

TEST_F(SafetensorsFileTest, RefusesTensorsThatDoNotFit) {
  const auto error = [&](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return error_with_entry(R"("b":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
                            offsets + "}");
  };
  EXPECT_EQ(error("U8", "[4]", "[4,8]"), "");
  EXPECT_EQ(error("F32", "[]", "[4,8]"), "");
  EXPECT_TRUE(says(error("F4", "[8]", "[4,8]"), "has the unknown dtype \"F4\""));
  EXPECT_TRUE(says(error("u8", "[4]", "[4,8]"), "has the unknown dtype"));
  EXPECT_TRUE(says(error("U8", "[4]", "[8,4]"), "ends before it begins"));
  EXPECT_TRUE(says(error("U8", "[5]", "[4,9]"), "ends after the end of the file"));
  EXPECT_TRUE(says(error("U8", "[4]", "[18446744073709551612,18446744073709551615]"), "ends after the end"));
  EXPECT_TRUE(says(error("U8", "[3]", "[4,8]"), "do not take the 4 bytes"));
  EXPECT_TRUE(says(error("F32", "[4]", "[4,8]"), "do not take the 4 bytes"));
  EXPECT_TRUE(says(error("F32", "[4611686018427387905]", "[4,8]"), "do not take"));  // times 4, it wraps to 4
  EXPECT_TRUE(says(error("U8", "[4294967296,4294967296,0]", "[4,4]"),
                   "do not take"));  // the product overflows on the way
  EXPECT_TRUE(says(error("U8", "[4]", "[3,7]"), "overlaps another one"));
  EXPECT_TRUE(says(error("U8", "[8]", "[0,8]"), "overlaps another one"));
  EXPECT_TRUE(says(error("U8", "[3]", "[5,8]"), "a gap before tensor \"b\""));
  EXPECT_TRUE(says(error("U8", "[2]", "[4,6]"), "2 bytes after the last tensor"));
  EXPECT_TRUE(says(error("U8", "[0]", "[2,2]"), "overlaps another one"));
}

TEST_F(SafetensorsFileTest, RefusesDuplicateNames) {
  EXPECT_TRUE(says(error_with_entry(R"("a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]})"),
                   "its header has the key \"a\" twice"));
  EXPECT_TRUE(says(error_with_entry(R"("b":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[4,8]})"),
                   "the key \"dtype\" twice"));
  EXPECT_TRUE(says(error_with(foreign(R"({"__metadata__":{"x":"1","x":"2"}})")), "the key \"x\" twice"));
}

TEST_F(SafetensorsFileTest, MetadataHoldsStringsOnly) {
  EXPECT_EQ(error_with(foreign(R"({"__metadata__":{"x":"1"}})")), "");
  EXPECT_TRUE(says(error_with(foreign(R"({"__metadata__":{"x":1}})")), "metadata \"x\" is not a string"));
  EXPECT_TRUE(says(error_with(foreign(R"({"__metadata__":[]})")), "metadata is not a JSON object"));
}

TEST_F(SafetensorsFileTest, NamesInMessagesStayOnOneLine) {
  EXPECT_TRUE(says(error_with(foreign(R"({"two\nlines":1})")), R"(tensor "two\nlines" is damaged)"));
}

TEST_F(SafetensorsFileTest, TheWriterRefusesWhatNoReaderWouldOpen) {
  write_all(path("f"), "old");
  const auto error = [&](std::vector<SafetensorsTensor> tensors,
                         std::map<std::string, std::string> metadata = {}) {
    return error_of([&] { write_safetensors(path("f"), tensors, metadata); });
  };
  const SafetensorsTensor good = {"a", "U8", {1}, bytes_of("1")};
  EXPECT_TRUE(says(error({good, good}), "tensor \"a\" is given twice"));
  EXPECT_TRUE(says(error({{"__metadata__", "U8", {1}, bytes_of("1")}}), "reserved name"));
  EXPECT_TRUE(says(error({{"a", "FLOAT", {1}, bytes_of("1")}}), "unknown dtype"));
  EXPECT_TRUE(says(error({{"a", "F32", {1}, bytes_of("1")}}), "more or fewer bytes"));
  EXPECT_TRUE(says(error({{"a", "U8", {UINT64_MAX, 3}, bytes_of("1")}}), "more or fewer bytes"));
  EXPECT_TRUE(says(error({{"\xff", "U8", {1}, bytes_of("1")}}), "not UTF-8"));
  EXPECT_TRUE(says(error({good}, {{"path", "\xff"}}), "not UTF-8"));
  EXPECT_EQ(read_all(path("f")), "old");
  EXPECT_EQ(files_in_folder(), 1u);
}

}  // namespace
}  // namespace hipgpt
