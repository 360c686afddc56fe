#include "text.h"

#include <vector>

#include "data/find_files.h"
#include "test_files.h"

namespace hipgpt {
namespace {

using Paths = std::vector<std::string>;

class TextTest : public FilesTest {
 protected:
  /// Returns a text with one file per document.
  Text files(const std::vector<std::string>& documents, const std::string& prefix = "document") const {
    Paths paths;
    for (const std::string& document : documents) {
      paths.push_back(path(prefix + std::to_string(paths.size())));
      write_all(paths.back(), document);
    }
    return Text(paths);
  }
};

TEST_F(TextTest, GivesItsDocumentsInOrder) {
  const Text text = files({"one", "three", "two"});
  ASSERT_EQ(text.num_documents(), 3u);
  EXPECT_EQ(text.bytes(), 11u);
  EXPECT_EQ(text.document(0).bytes, "one");
  EXPECT_EQ(text.document(1).bytes, "three");
  EXPECT_EQ(text.document(2).bytes, "two");
  EXPECT_EQ(Text(std::string_view("memory")).document(0).bytes, "memory");
}

TEST_F(TextTest, AFileThatChangesBetweenTwoReadsIsReported) {
  const Text text = files({"one", "two"});
  write_all(path("document1"), "");
  EXPECT_TRUE(says(error_of([&] { text.read(); }), "document1: became shorter"));
  write_all(path("document1"), "two and more");
  EXPECT_TRUE(says(error_of([&] { text.document(1); }), "document1: became longer"));
  write_all(path("document1"), "six");
  EXPECT_EQ(text.document(1).bytes, "six");
}

TEST_F(TextTest, TheHashOfOneDocumentIsXxh3) {
  EXPECT_EQ(Text(std::string_view()).read().hash, 0x2d06800538d394c2u);  // published with XXH3
  EXPECT_EQ(files({"To be"}).read().hash, Text(std::string_view("To be")).read().hash);
  EXPECT_NE(Text(std::string_view("To be")).read().hash, Text(std::string_view("To bf")).read().hash);
}

TEST_F(TextTest, TheHashDependsOnWhereDocumentsEndButNotOnTheirPaths) {
  const uint64_t hash = files({"ab", "cd"}).read().hash;
  EXPECT_EQ(files({"ab", "cd"}, "elsewhere").read().hash, hash);
  EXPECT_NE(files({"a", "bcd"}).read().hash, hash);
  EXPECT_NE(files({"abcd"}).read().hash, hash);
  EXPECT_NE(files({"cd", "ab"}).read().hash, hash);
  EXPECT_NE(files({"ab", "cd", "ab"}).read().hash, hash);
}

TEST_F(TextTest, FindsEndOfTextAnywhere) {
  const size_t piece = size_t{1} << 20;  // the size of one read
  for (const size_t before : {size_t{0}, size_t{5}, piece - 13, piece - 1, piece, 2 * piece - 6}) {
    const std::string text = std::string(before, 'x') + std::string(kEndOfText);
    EXPECT_TRUE(files({text}).read().has_end_of_text) << before;
    EXPECT_FALSE(files({text.substr(0, text.size() - 1)}).read().has_end_of_text) << before;
  }
  EXPECT_TRUE(files({"a", "b<|endoftext|>"}).read().has_end_of_text);
  EXPECT_FALSE(files({"a<|endof", "text|>"}).read().has_end_of_text);
}

TEST_F(TextTest, RefusesFilesThatAreNotTexts) {
  write_all(path("empty"), "");
  EXPECT_TRUE(says(error_of([&] { Text(Paths{path("empty")}); }), "is empty"));
  EXPECT_TRUE(says(error_of([&] { Text(Paths{path("missing")}); }), "no such file"));
  EXPECT_TRUE(says(error_of([&] { Text(Paths{folder_.string()}); }), "is a folder"));
}

// ---- find_files()

class FindFilesTest : public FilesTest {
 protected:
  FindFilesTest() {
    for (const char* folder : {"a", "a/deep", "a/.hidden", "b"})
      std::filesystem::create_directory(path(folder));
    for (const char* file :
         {"z.txt", "a/2.txt", "a/1.txt", "a/deep/3.txt", "a/.hidden/4.txt", "a/.5.txt", "b/6.md"}) {
      write_all(path(file), "text");
    }
  }

  Paths in_folder(Paths names) const {
    for (std::string& name : names) name = path(name);
    return names;
  }
  Paths find(Paths values) const { return find_files("--flag", in_folder(std::move(values))); }
};

TEST_F(FindFilesTest, FoldersGiveAllFilesBelowThemExceptHiddenOnes) {
  EXPECT_EQ(find({"z.txt"}), in_folder({"z.txt"}));
  EXPECT_EQ(find({"a"}), in_folder({"a/1.txt", "a/2.txt", "a/deep/3.txt"}));
  EXPECT_EQ(find({"b", "a/2.txt", "b"}), in_folder({"b/6.md", "a/2.txt", "b/6.md"}));
}

TEST_F(FindFilesTest, PatternsGiveTheirMatchesInOrder) {
  EXPECT_EQ(find({"a/*.txt"}), in_folder({"a/1.txt", "a/2.txt"}));
  EXPECT_EQ(find({"a/[2-9].txt"}), in_folder({"a/2.txt"}));
  EXPECT_EQ(find({"?.txt"}), in_folder({"z.txt"}));
  EXPECT_EQ(find({"?"}), in_folder({"a/1.txt", "a/2.txt", "a/deep/3.txt", "b/6.md"}));
}

TEST_F(FindFilesTest, AnExistingNameIsNotAPattern) {
  write_all(path("[z].txt"), "text");
  EXPECT_EQ(find({"[z].txt"}), in_folder({"[z].txt"}));
}

TEST_F(FindFilesTest, ANameThatGivesNoFileIsAnError) {
  std::filesystem::create_directory(path("c"));
  EXPECT_TRUE(says(error_of([&] {
                     find({"a", "missing"});
                   }),
                   "--flag " + path("missing") + ": no such file"));
  EXPECT_TRUE(says(error_of([&] { find({"*.html"}); }), "matches no file"));
  EXPECT_TRUE(says(error_of([&] { find({"c"}); }), "contains no usable file"));
}

}  // namespace
}  // namespace hipgpt
