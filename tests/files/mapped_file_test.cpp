#include "util/mapped_file.h"

#include <sys/stat.h>

#include "test_files.h"

namespace hipgpt {
namespace {

using Access = MappedFile::Access;
using MappedFileTest = FilesTest;

TEST_F(MappedFileTest, ShowsTheBytesOfTheFile) {
  const std::string text("one\0two\xff", 8);
  write_all(path("a"), text);
  for (const Access access : {Access::kSequential, Access::kRandom}) {
    const MappedFile file(path("a"), access);
    EXPECT_EQ(file.text(), text);
    EXPECT_EQ(file.bytes().size(), text.size());
    EXPECT_EQ(file.bytes()[7], std::byte{0xff});
  }
}

TEST_F(MappedFileTest, AnEmptyFileIsAnEmptySpan) {
  write_all(path("empty"), "");
  const MappedFile file(path("empty"), Access::kRandom);
  EXPECT_TRUE(file.bytes().empty());
  EXPECT_TRUE(file.text().empty());
}

TEST_F(MappedFileTest, MovesAndOutlivesTheNameOfItsFile) {
  write_all(path("a"), "first");
  write_all(path("b"), "second");
  MappedFile a(path("a"), Access::kSequential);
  MappedFile b(path("b"), Access::kSequential);
  std::filesystem::remove(path("a"));
  MappedFile moved(std::move(a));
  EXPECT_EQ(moved.text(), "first");
  EXPECT_TRUE(a.text().empty());
  b = std::move(moved);
  EXPECT_EQ(b.text(), "first");
}

TEST_F(MappedFileTest, SaysWhyAFileCannotBeOpened) {
  const auto error = [&](const std::string& name) {
    return error_of([&] { MappedFile(path(name), Access::kSequential); });
  };
  EXPECT_TRUE(says(error("missing"), path("missing") + ": no such file"));
  EXPECT_TRUE(says(error("."), "is a folder"));
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_TRUE(says(error("pipe"), "is a pipe or a device"));  // and does not wait for a writer
  EXPECT_TRUE(says(error_of([] { MappedFile("/dev/null", Access::kRandom); }), "is a pipe or a device"));
  EXPECT_TRUE(says(error_of([] { MappedFile("", Access::kRandom); }), "no such file"));
  write_all(path("file"), "x");
  EXPECT_TRUE(says(error("file/inside"), "Not a directory"));
}

TEST_F(MappedFileTest, SaysWhenAFileIsNotReadable) {
  if (::geteuid() == 0) GTEST_SKIP() << "the superuser may read everything";
  write_all(path("secret"), "x");
  std::filesystem::permissions(path("secret"), std::filesystem::perms::none);
  EXPECT_TRUE(says(error_of([&] { MappedFile(path("secret"), Access::kRandom); }), "not readable"));
}

}  // namespace
}  // namespace hipgpt
