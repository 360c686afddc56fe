#include "training/prepare_data.h"

#include "records/progress_line.h"
#include "test_files.h"

namespace hipgpt {
namespace {

/// Computes the hash that a resumed run compares.
class DataHashTest : public FilesTest {
 protected:
  DataHashTest() {
    write_all(path("a"), "to be, or not to be");
    write_all(path("b"), "that is the question");
  }

  uint64_t hash(const std::vector<std::string>& data, const std::vector<std::string>& val_data = {},
                double val_fraction = 0.1) const {
    TrainingRun run;
    run.vocab_size = 257;
    run.val_fraction = val_fraction;
    run.data_paths.clear();
    for (const std::string& name : data) run.data_paths.push_back(path(name));
    for (const std::string& name : val_data) run.val_data_paths.push_back(path(name));
    const RunFolder folder("a run that never starts");
    ProgressLine progress;
    return PreparedData(run, std::nullopt, folder, progress).data_hash();
  }
};

TEST_F(DataHashTest, NamesTheTextsAndTheirSplit) {
  const uint64_t one = hash({"a"}), two = hash({"a", "b"}), apart = hash({"a"}, {"b"});
  EXPECT_NE(one, two);
  EXPECT_NE(two, hash({"b", "a"}));
  EXPECT_NE(one, hash({"a"}, {}, 0.2));
  EXPECT_NE(apart, one);
  EXPECT_NE(apart, two);
  EXPECT_NE(apart, hash({"b"}, {"a"}));
  EXPECT_EQ(apart, hash({"a"}, {"b"}, 0.2));  // the fraction has no effect here
}

TEST_F(DataHashTest, DoesNotDependOnWhereTheFilesAre) {
  const uint64_t before = hash({"a", "b"});
  std::filesystem::create_directory(path("folder"));
  std::filesystem::rename(path("a"), path("folder/x"));
  std::filesystem::rename(path("b"), path("folder/y"));
  EXPECT_EQ(hash({"folder"}), before);
  write_all(path("folder/y"), "that is the questioN");
  EXPECT_NE(hash({"folder"}), before);
}

}  // namespace
}  // namespace hipgpt
