// SPDX-License-Identifier: Apache-2.0
#include "kovos/io/file.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>

#include "support.hpp"

using namespace kovos;
using namespace kovos::test;

TEST_CASE("a mapped file shows the file's bytes and outlives its handle") {
  TemporaryFolder const folder;
  store(folder / "a", std::string("one\0two", 7));
  auto file = MappedFile::open(folder / "a");
  std::filesystem::remove(folder / "a");
  CHECK(as_text(file->bytes()) == std::string("one\0two", 7));

  store(folder / "empty", "");
  CHECK(MappedFile::open(folder / "empty")->bytes().empty());
}

TEST_CASE("whoever writes to a file changes its stamp") {
  TemporaryFolder const folder;
  store(folder / "a", "one");
  auto const stamp = MappedFile::open(folder / "a")->stamp();
  CHECK(MappedFile::open(folder / "a")->stamp() == stamp);
  store(folder / "a", "four");
  CHECK(MappedFile::open(folder / "a")->stamp() != stamp);
  // Also if the size is the same and the time is put back; the clock of files is coarse.
  auto const time = std::filesystem::last_write_time(folder / "a");
  auto const four = MappedFile::open(folder / "a")->stamp();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  store(folder / "a", "five");
  std::filesystem::last_write_time(folder / "a", time);
  CHECK(MappedFile::open(folder / "a")->stamp() != four);
}

TEST_CASE("files that cannot be read are named with the reason") {
  TemporaryFolder const folder;
  CHECK_FAILS(FileError, "does not exist", MappedFile::open(folder / "nothing"));
  CHECK_FAILS(FileError, "nothing", MappedFile::open(folder / "nothing"));
  CHECK_FAILS(FileError, "does not exist", read_file(folder / "nothing"));
  CHECK_FAILS(FileError, "is a directory", MappedFile::open(folder.path()));
  CHECK_FAILS(FileError, "is a directory", read_file(folder.path()));
  CHECK_FAILS(FileError, "could not be opened", MappedFile::open(folder / "a\xff" / "b" / std::string(5000, 'x')));
  CHECK_FAILS(FileError, "pipe or a device", MappedFile::open("/dev/null"));
  store(folder / "secret", "x");
  if (::geteuid() != 0) {
    ::chmod((folder / "secret").c_str(), 0);
    CHECK_FAILS(FileError, "may not be read", MappedFile::open(folder / "secret"));
  } else {
    MESSAGE("skipped the unreadable file: this user may read everything");
  }
}

TEST_CASE("read_file reads files, devices, and no more than allowed") {
  TemporaryFolder const folder;
  std::string const content(200'000, 'k');
  store(folder / "long", content);
  auto const bytes = read_file(folder / "long", content.size());
  CHECK(as_text(bytes) == content);
  CHECK_FAILS(FileError, "expected at most 199999", read_file(folder / "long", content.size() - 1));
  CHECK(read_file("/dev/null").empty());
  CHECK_FAILS(FileError, "longer than 100000 bytes", read_file("/dev/zero", 100'000));
}

TEST_CASE("an atomic write replaces the whole file or nothing") {
  TemporaryFolder const folder;
  write_file_atomically(folder / "a", as_bytes("first"));
  CHECK(load(folder / "a") == "first");
  write_file_atomically(folder / "a", [](std::ostream& stream) { stream << "second"; });
  CHECK(load(folder / "a") == "second");
  write_file_atomically(
      folder / "b", [](std::ostream& stream) { stream << "durable"; }, true);
  CHECK(load(folder / "b") == "durable");
  std::filesystem::remove(folder / "b");

  CHECK_THROWS_AS(write_file_atomically(folder / "a",
                                        [](std::ostream& stream) {
                                          stream << "half";
                                          throw std::logic_error("stop");
                                        }),
                  std::logic_error);
  CHECK_FAILS(FileError, "could not be written",
              write_file_atomically(folder / "a", [](std::ostream& stream) { stream.setstate(std::ios::badbit); }));
  CHECK(load(folder / "a") == "second");
  CHECK(folder.files() == 1);
}

TEST_CASE("an atomic write says why the target cannot be written") {
  TemporaryFolder const folder;
  CHECK_FAILS(FileError, "No such file or directory", write_file_atomically(folder / "no" / "a", as_bytes("x")));
  CHECK_FAILS(FileError, "folder exists and is writable", write_file_atomically(folder / "no" / "a", as_bytes("x")));
  CHECK_FAILS(FileError, "is a directory", write_file_atomically(folder.path(), as_bytes("x")));
  CHECK_FAILS(FileError, "not a regular file", write_file_atomically("/dev/null", as_bytes("x")));
  if (::geteuid() != 0) {
    ::chmod(folder.path().c_str(), 0500);
    CHECK_FAILS(FileError, "Permission denied", write_file_atomically(folder / "a", as_bytes("x")));
    ::chmod(folder.path().c_str(), 0700);
  } else {
    MESSAGE("skipped the folder without permission: this user may write everywhere");
  }
  CHECK(folder.files() == 0);
}

TEST_CASE("an atomic write through a link keeps the link") {
  TemporaryFolder const folder;
  store(folder / "real", "old");
  std::filesystem::create_symlink(folder / "real", folder / "link");
  write_file_atomically(folder / "link", as_bytes("new"));
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(load(folder / "real") == "new");
}

TEST_CASE("running out of space leaves the old file and no rubbish") {
  TemporaryFolder const folder;
  store(folder / "a", "old");
  // A limit on the size of files stands in for a full disk: the same failing write at the same place.
  struct ::rlimit before = {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  auto const handler = std::signal(SIGXFSZ, SIG_IGN);
  struct ::rlimit small = before;
  small.rlim_cur = 4096;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string const content(100'000, 'x');
  auto const message = message_of<FileError>([&] { write_file_atomically(folder / "a", as_bytes(content)); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  INFO(message);
  CHECK(contains(message, "File too large"));
  CHECK(contains(message, "free some space"));
  CHECK(load(folder / "a") == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("names in messages cannot disturb a terminal") {
  CHECK(detail::in_quotes("plain") == "'plain'");
  CHECK(detail::in_quotes("a\x1b[2J\n") == "'a\\x1b[2J\\x0a'");
  CHECK(detail::in_quotes("gr\xc3\xbcn") == "'gr\xc3\xbcn'");
  CHECK(detail::in_quotes("bad\xff") == "'bad\\xff'");
  CHECK(detail::in_quotes(std::string(200, 'a')) == "'" + std::string(120, 'a') + "...'");
}

TEST_CASE("UTF-8 is checked strictly") {
  for (auto good :
       {"", "a", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    CHECK(detail::is_utf8(good));
  for (auto bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82",
                   "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "a\xff", "\xe2\x28\xa1"})
    CHECK_FALSE(detail::is_utf8(bad));
}
