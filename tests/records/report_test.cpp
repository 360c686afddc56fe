// Tests of the report of a run: its page, its plot, and what happens to files that are in the way.
#include "records/report.h"

#include <cmath>
#include <sstream>

#include "files/test_files.h"
#include "records/loss_curve.h"
#include "records/markdown.h"

namespace hipgpt {
namespace {

namespace fs = std::filesystem;

/// A history whose loss falls from 8 to 4, with a validation every tenth step.
RunHistory falling(int64_t steps) {
  RunHistory history;
  for (int64_t n = 1; n <= steps; ++n) {
    const double x = static_cast<double>(n) / static_cast<double>(steps);
    history.loss.push_back({n, 4.0 + 4.0 * std::exp(-6.0 * x) + (n % 2 == 0 ? 0.1 : -0.1)});
    if (n % 10 == 0) history.val_loss.push_back({n, 4.5 + 4.0 * std::exp(-6.0 * x)});
  }
  return history;
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// Returns the text between the first `before` and the next `after`.
std::string between(const std::string& text, const std::string& before, const std::string& after) {
  const size_t at = text.find(before);
  if (at == std::string::npos) return "";
  const size_t begin = at + before.size();
  return text.substr(begin, text.find(after, begin) - begin);
}

/// Returns the points, in pixels, of the curve with this class.
std::vector<std::pair<double, double>> points_of(const std::string& svg, const std::string& style) {
  std::string d = between(svg, "class=\"" + style + "\" clip-path=\"url(#plot)\" d=\"", "\"");
  for (char& c : d) c = c == 'M' || c == 'L' || c == 'h' || c == 'Z' ? ' ' : c;
  std::istringstream numbers(d);
  std::vector<std::pair<double, double>> points;
  for (double x = 0, y = 0; numbers >> x >> y;) points.emplace_back(x, y);
  return points;
}

// ---- The plot

TEST(LossCurveTest, CurvesRunFromTheUpperLeftToTheLowerRight) {
  const std::string svg = loss_curve_svg(falling(100));
  for (const char* style : {"line train", "line val"}) {
    const auto points = points_of(svg, style);
    ASSERT_EQ(points.size(), style == std::string("line val") ? 10u : 100u);
    EXPECT_LT(points.front().first, points.back().first);
    EXPECT_LT(points.front().second, points.back().second - 100);  // down is larger in SVG
  }
  EXPECT_EQ(count(svg, "<circle"), 10u);
  EXPECT_NE(svg.find(">best 4.5099 at step 100<"), std::string::npos);
  EXPECT_NE(svg.find(">validation<"), std::string::npos);
  EXPECT_NE(svg.find("prefers-color-scheme: dark"), std::string::npos);
}

TEST(LossCurveTest, AValueIsDrawnWhereTheTicksPutIt) {
  RunHistory history;
  history.loss = {{100, 2.0}, {200, 1.0}};
  const std::string svg = loss_curve_svg(history);
  const auto points = points_of(svg, "line train");
  ASSERT_EQ(points.size(), 2u);
  const auto tick = [&](const std::string& label, const std::string& coordinate) {
    const size_t text = svg.rfind("<text", svg.find(">" + label + "<"));
    return std::stod(between(svg.substr(text), " " + coordinate + "=\"", "\""));
  };
  EXPECT_NEAR(points[0].first, tick("100", "x"), 0.1);
  EXPECT_NEAR(points[1].first, tick("200", "x"), 0.1);
  EXPECT_NEAR(points[0].second, tick("2.0", "y") - 4.5, 0.1);  // labels sit a little below their lines
  EXPECT_NEAR(points[1].second, tick("1.0", "y") - 4.5, 0.1);
}

TEST(LossCurveTest, ALongRunIsDrawnInColumnsThatKeepItsRange) {
  RunHistory history = falling(50000);
  history.val_loss.clear();
  const std::string svg = loss_curve_svg(history);
  EXPECT_LT(svg.size(), size_t{40} << 10);
  EXPECT_EQ(points_of(svg, "line train").size(), 600u);
  const auto range = points_of(svg, "range");
  ASSERT_EQ(range.size(), 1200u);
  // At the end the loss jumps between 3.91 and 4.11. The axis runs from 3.5 or 4 to about 8 in some 360
  // pixels.
  EXPECT_GT(range[600].second - range[599].second, 10.0);
  EXPECT_LT(range[600].second - range[599].second, 25.0);
  EXPECT_EQ(count(svg, ">validation<"), 0u);
}

TEST(LossCurveTest, ASingleSpikeDoesNotFlattenTheCurve) {
  RunHistory history = falling(1000);
  history.loss[700].value = 1e6;
  const auto points = points_of(loss_curve_svg(history), "line val");
  EXPECT_GT(points.back().second - points.front().second, 100.0);
}

TEST(LossCurveTest, FewRecordsStillGiveAPlot) {
  RunHistory history;
  EXPECT_NE(loss_curve_svg(history).find("</svg>"), std::string::npos);
  for (const double loss : {0.0, 5.0, 3e38}) {
    history.loss = {{1, loss}};
    history.val_loss = {{1, loss}};
    const std::string svg = loss_curve_svg(history);
    EXPECT_EQ(count(svg, "nan") + count(svg, "inf"), 0u) << svg;
    EXPECT_EQ(points_of(svg, "line train").size(), 1u);
    EXPECT_LT(count(svg, "class=\"grid\""), 12u);
  }
}

// ---- The page

TEST(MarkdownTest, ATextCannotBreakOutOfItsPlace) {
  EXPECT_EQ(markdown::escaped("a|b*c_d`e\nf\\<g>"), "a\\|b\\*c\\_d\\`e f\\\\\\<g\\>");
  EXPECT_EQ(markdown::table_row("a|b", "c\nd"), "| a\\|b | c d |\n");
  EXPECT_EQ(markdown::code_block("a"), "\n```text\na\n```\n");
  EXPECT_EQ(markdown::code_block("````\nb"), "\n`````text\n````\nb\n`````\n");
}

TEST(ReportTest, SaysHowTheRunWent) {
  RunHistory history = falling(400);
  history.run = {{"name", "a_b"},
                 {"steps", 1000},
                 {"batch", 4},
                 {"grad_accum", 2},
                 {"seq", 8},
                 {"train_tokens", 12800},
                 {"version", "7.8"},
                 {"compiler", "GNU 1.2"},
                 {"lr", 0.003f},
                 {"parameters", 1554056},
                 {"data", JsonValue::Array{"my.txt", "b.txt"}},
                 {"command", "train_gpt --seed 1"},
                 {"seed", 1337},
                 {"device", "cpu, a|b"}};
  for (int i = 1; i <= 3; ++i) history.tokens_per_second.push_back({i, i * 1000.0});
  history.elapsed_seconds = 65;
  const std::string page = report_markdown(history);
  for (const char* part :
       {"# Training run a\\_b\n", "![Loss curve](loss.svg)", "| steps | 400 of 1,000: stopped early |",
        "| tokens | 25,600, 2.00 times the training text |", "| validation loss | 4.5099 (perplexity 90.9) |",
        "| best validation loss | 4.5099 (perplexity 90.9) at step 400 |", "| time | 1:05 |",
        "| speed | 2,000 tokens/s (median) |", "| parameters | 1,554,056 |", "| seed | 1337 |",
        "| lr | 0.003 |", "| HipGPT | 7.8 |", "| compiler | GNU 1.2 |", "| data | my.txt, b.txt |",
        "\ntrain_gpt --seed 1\n", "| device | cpu, a\\|b |"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part << "\n" << page;
  }
  history.run.set("steps", 400);
  EXPECT_NE(report_markdown(history).find("| steps | 400 |"), std::string::npos);
}

TEST(ReportTest, ShowsSomeOfManySamplesWithTheFirstAndTheLast) {
  RunHistory history = falling(10);
  for (int64_t n = 1; n <= 100; ++n) history.samples.push_back({n, "To be", " number " + std::to_string(n)});
  const std::string page = report_markdown(history);
  EXPECT_EQ(count(page, "To be number"), 6u);
  EXPECT_NE(page.find("\nStep 1:\n\n```text\nTo be number 1\n```\n"), std::string::npos) << page;
  EXPECT_NE(page.find("\nStep 100:\n\n```text\nTo be number 100\n```\n"), std::string::npos);
  history.samples.resize(1);
  EXPECT_EQ(count(report_markdown(history), "To be number"), 1u);
  history.samples.clear();
  EXPECT_EQ(count(report_markdown(history), "Samples"), 0u);
}

TEST(ReportTest, AnEmptyHistoryStillGivesAPage) {
  EXPECT_NE(report_markdown({}).find("| steps | 0 |"), std::string::npos);
}

class ReportFilesTest : public FilesTest {
 protected:
  ReportFilesTest() : before_(fs::current_path()) {
    fs::current_path(folder_);
    write_all("metrics.jsonl", "{\"step\":1,\"loss\":2.5}\n");
  }
  ~ReportFilesTest() override { fs::current_path(before_); }

  fs::path before_;
  RunFolder run_{""};
};

TEST_F(ReportFilesTest, ReplacesTheReportOfAnEarlierRun) {
  write_report(run_);
  const std::string report = read_all("report.md"), picture = read_all("loss.svg");
  EXPECT_NE(report.find("# Training run"), std::string::npos);
  EXPECT_NE(picture.find("</svg>"), std::string::npos);
  write_all("metrics.jsonl", "{\"step\":1,\"loss\":2.5}\n{\"step\":2,\"loss\":2}\n");
  write_report(run_);
  EXPECT_NE(read_all("report.md"), report);
  EXPECT_NE(read_all("loss.svg"), picture);
  EXPECT_EQ(files_in_folder(), 3u);
}

TEST_F(ReportFilesTest, AFileThatIsNotAReportStays) {
  write_all("report.md", "# My own notes\n");
  EXPECT_TRUE(says(error_of([&] { write_report(run_); }), "report.md"));
  EXPECT_EQ(read_all("report.md"), "# My own notes\n");
  fs::remove("report.md");
  write_all("loss.svg", "<svg/>");
  EXPECT_TRUE(says(error_of([&] { write_report(run_); }), "loss.svg"));
  EXPECT_EQ(read_all("loss.svg"), "<svg/>");
}

TEST_F(ReportFilesTest, AFolderInTheWayIsAnError) {
  fs::create_directory("report.md");
  EXPECT_TRUE(says(error_of([&] { write_report(run_); }), "report.md"));
}

}  // namespace
}  // namespace hipgpt
