#include "util/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <functional>
#include <thread>

#include "test_files.h"
#include "util/mapping_faults.h"

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

// ---- Files that lose their pages

struct End {
  int status;  // as waitpid() returns it
  std::string err;
};

/// Runs `action` in a child that reports mapping faults as "test"; returns how the child ended.
End end_of(const std::string& err_file, const std::function<void()>& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (std::freopen(err_file.c_str(), "w", stderr) == nullptr) ::_exit(126);
    report_mapping_faults("test");
    action();
    ::_exit(0);
  }
  End end{};
  ::waitpid(child, &end.status, 0);
  end.err = read_all(err_file);
  return end;
}

bool exited_with(const End& end, int status) {
  return WIFEXITED(end.status) && WEXITSTATUS(end.status) == status;
}

int touch(const std::byte& byte) {
  return static_cast<int>(*const_cast<const volatile std::byte*>(&byte));
}

TEST_F(MappedFileTest, ATruncatedFileIsNamedInOneLineByAnyThread) {
  for (const bool in_thread : {false, true}) {
    write_all(path("other"), std::string(10'000, 'x'));
    write_all(path("a\nb"), std::string(100'000, 'x'));
    const End end = end_of(path("err"), [&] {
      const MappedFile before(path("other"), Access::kSequential);
      const MappedFile file(path("a\nb"), Access::kRandom);
      const MappedFile after(path("other"), Access::kSequential);
      std::filesystem::resize_file(path("a\nb"), 10);
      const auto read = [&] { touch(file.bytes()[99'999]); };
      if (in_thread) std::thread(read).join();
      read();
    });
    EXPECT_TRUE(exited_with(end, 1)) << end.status;
    EXPECT_TRUE(end.err.starts_with("test: " + path("a b") + ": became shorter")) << end.err;
    EXPECT_EQ(std::count(end.err.begin(), end.err.end(), '\n'), 1) << end.err;
  }
}

TEST_F(MappedFileTest, AMovedMappingIsStillKnownAndAClosedOneIsNot) {
  write_all(path("a"), std::string(100'000, 'x'));
  const End end = end_of(path("err"), [&] {
    { const MappedFile gone(path("a"), Access::kRandom); }
    MappedFile first(path("a"), Access::kRandom);
    const MappedFile moved(std::move(first));
    std::filesystem::resize_file(path("a"), 0);
    touch(moved.bytes()[50'000]);
  });
  EXPECT_TRUE(exited_with(end, 1)) << end.status;
}

TEST_F(MappedFileTest, OtherBusErrorsEndTheProcessAsUsual) {
  write_all(path("a"), std::string(100'000, 'x'));
  const auto expect_killed = [](const End& end) {
    // A sanitizer's handler runs after ours and exits by itself.
    const bool by_signal = WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGBUS;
    EXPECT_TRUE(by_signal || end.err.find("Sanitizer") != std::string::npos) << end.status << end.err;
  };
  expect_killed(end_of(path("err"), [&] {
    const MappedFile file(path("a"), Access::kRandom);
    ::raise(SIGBUS);
  }));
  expect_killed(end_of(path("err"), [&] {
    const MappedFile file(path("a"), Access::kRandom);
    const int fd = ::open(path("a").c_str(), O_RDONLY);
    auto* mapping = static_cast<std::byte*>(::mmap(nullptr, 100'000, PROT_READ, MAP_PRIVATE, fd, 0));
    std::filesystem::resize_file(path("a"), 0);
    touch(mapping[50'000]);
  }));
}

}  // namespace
}  // namespace hipgpt
