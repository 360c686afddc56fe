#include "util/atomic_file.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "test_files.h"

namespace hipgpt {
namespace {

namespace fs = std::filesystem;
using AtomicFileTest = FilesTest;

TEST_F(AtomicFileTest, WritesPiecesOfAllSizes) {
  std::string expected;
  AtomicFile file(path("a"));
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1000}, (size_t{1} << 20) - 1, size_t{1} << 20,
                            size_t{5}, (size_t{3} << 20) + 7, size_t{2}}) {
    const std::string piece(size, static_cast<char>('a' + expected.size() % 26));
    file.write(piece);
    expected += piece;
  }
  file.commit();
  EXPECT_TRUE(read_all(path("a")) == expected);
  EXPECT_EQ(files_in_folder(), 1u);
}

TEST_F(AtomicFileTest, OverwritesWhatIsWritten) {
  AtomicFile file(path("a"));
  file.write("....body");
  file.overwrite(0, std::as_bytes(std::span(std::string_view("head"))));
  file.write("tail");
  EXPECT_TRUE(says(error_of([&] { file.overwrite(9, std::as_bytes(std::span(std::string_view("long")))); }),
                   "cannot overwrite bytes 9 to 13"));
  file.commit();
  EXPECT_EQ(read_all(path("a")), "headbodytail");
}

TEST_F(AtomicFileTest, NothingChangesWithoutCommit) {
  write_all(path("a"), "old");
  {
    AtomicFile file(path("a"));
    file.write(std::string(3 << 20, 'x'));
    EXPECT_EQ(read_all(path("a")), "old");
    EXPECT_EQ(files_in_folder(), 2u);
  }
  EXPECT_EQ(read_all(path("a")), "old");
  EXPECT_EQ(files_in_folder(), 1u);
}

TEST_F(AtomicFileTest, TwoWritersOfOneFileDoNotInterfere) {
  AtomicFile first(path("a")), second(path("a"));
  first.write("first");
  second.write("second");
  second.commit();
  EXPECT_EQ(read_all(path("a")), "second");
  first.commit();
  EXPECT_EQ(read_all(path("a")), "first");
  EXPECT_EQ(files_in_folder(), 1u);
}

TEST_F(AtomicFileTest, KeepsLinksAndPermissions) {
  write_all(path("a"), "old");
  fs::permissions(path("a"), fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("a", path("link"));
  fs::create_symlink("b", path("dangling"));
  write_file_atomically(path("link"), "new");
  write_file_atomically(path("dangling"), "new");
  EXPECT_TRUE(fs::is_symlink(path("link")) && fs::is_symlink(path("dangling")));
  EXPECT_EQ(read_all(path("a")), "new");
  EXPECT_EQ(read_all(path("b")), "new");
  EXPECT_EQ(fs::status(path("a")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(AtomicFileTest, AcceptsNamesAsLongAsTheFolderDoes) {
  const std::string longest(255, 'n');
  write_file_atomically(path(longest), "x");
  EXPECT_EQ(read_all(path(longest)), "x");
  EXPECT_TRUE(says(error_of([&] { AtomicFile file(path(longest + "n")); }), "too long"));
}

TEST_F(AtomicFileTest, ANameInTheCurrentFolderNeedsNoFolder) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  const std::string error = error_of([] { write_file_atomically("plain", "x"); });
  fs::current_path(before);
  EXPECT_EQ(error, "");
  EXPECT_EQ(read_all(path("plain")), "x");
}

TEST_F(AtomicFileTest, RefusesAtOnceWhatCannotBeWritten) {
  const auto error = [](const std::string& path) { return error_of([&] { AtomicFile file(path); }); };
  fs::create_directory(path("folder"));
  write_all(path("file"), "x");
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  fs::create_symlink("loop", path("loop"));
  EXPECT_TRUE(says(error(""), "empty file name"));
  EXPECT_TRUE(says(error(path("folder")), "is a folder"));
  EXPECT_TRUE(says(error(path("new/")), "is a folder"));
  EXPECT_TRUE(says(error(path("missing/a")), path("missing/a") + ": its folder does not exist"));
  EXPECT_TRUE(says(error(path("file/a")), "Not a directory"));
  EXPECT_TRUE(says(error(path("pipe")), "is a pipe or a device"));
  EXPECT_TRUE(says(error(path("loop")), "loop"));
  EXPECT_TRUE(says(error("/dev/full"), "is a pipe or a device"));
  EXPECT_EQ(files_in_folder(), 4u);
}

TEST_F(AtomicFileTest, RespectsWriteProtection) {
  if (::geteuid() == 0) GTEST_SKIP() << "the superuser may write everything";
  write_all(path("a"), "old");
  fs::permissions(path("a"), fs::perms::owner_read);
  EXPECT_TRUE(says(error_of([&] { AtomicFile file(path("a")); }), "is write-protected"));
  fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_TRUE(says(error_of([&] { AtomicFile file(path("b")); }), "choose a folder that you may write to"));
  fs::permissions(folder_, fs::perms::owner_all);
}

/// Limits the size of files for the lifetime of a scope; a write beyond it fails like one on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  sighandler_t handler_;
  rlimit before_;
};

TEST_F(AtomicFileTest, AFailedWriteLeavesTheOldFile) {
  write_all(path("a"), "old");
  std::string small, large;
  {
    const FileSizeLimit limit(100'000);
    small =
        error_of([&] { write_file_atomically(path("a"), std::string(100'001, 'x')); });  // fails in commit()
    large = error_of(
        [&] { write_file_atomically(path("a"), std::string(10'000'000, 'x')); });  // fails in write()
  }
  EXPECT_TRUE(says(small, path("a") + ": cannot be written (File too large)"));
  EXPECT_TRUE(says(large, path("a") + ": cannot be written (File too large)"));
  EXPECT_EQ(read_all(path("a")), "old");
  EXPECT_EQ(files_in_folder(), 1u);
}

TEST_F(AtomicFileTest, AFullDiskLeavesTheOldFile) {
  if (::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=65536") != 0)
    GTEST_SKIP() << "mounting is not permitted here";
  write_all(path("a"), "old");
  const std::string error = error_of([&] { write_file_atomically(path("a"), std::string(100'000, 'x')); });
  const std::string kept = read_all(path("a"));
  const size_t files = files_in_folder();
  ::umount(folder_.c_str());
  EXPECT_TRUE(says(error, "(No space left on device); free some space"));
  EXPECT_EQ(kept, "old");
  EXPECT_EQ(files, 1u);
}

}  // namespace
}  // namespace hipgpt
