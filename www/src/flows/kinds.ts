/**
 * What the labels of the file namer mean, for people: a group and a name each.
 */

const TABLE = {
  code: `asm Assembly source|asp ASP page|autohotkey AutoHotkey script|autoit AutoIt script|awk AWK script|batch Windows batch file
    |bazel Bazel build file|c C source|clojure Clojure source|cmake CMake build file|cobol COBOL source|coffeescript CoffeeScript source
    |cpp C++ source|cs C# source|css Style sheet|dart Dart source|dockerfile Dockerfile|dm Dream Maker source|elixir Elixir source|erlang Erlang source|erb Ruby template
    |fortran Fortran source|gemfile Ruby Gemfile|gemspec Ruby Gem specification|go Go source|gradle Gradle build file|groovy Groovy source
    |handlebars Handlebars template|haskell Haskell source|hcl HashiCorp configuration|html HTML page|ipynb Jupyter notebook|java Java source
    |javascript JavaScript source|jinja Jinja template|julia Julia source|kotlin Kotlin source|lisp Lisp source|lua Lua source|m4 M4 macros
    |makefile Makefile|matlab MATLAB source|objectivec Objective-C source|ocaml OCaml source|pascal Pascal source|perl Perl source
    |php PHP source|powershell PowerShell script|prolog Prolog source|proto Protocol Buffers definition|python Python source|r R source
    |ruby Ruby source|rust Rust source|scala Scala source|scss SCSS style sheet|shell Shell script|smali Smali source|solidity Solidity source
    |sql SQL source|swift Swift source|tcl Tcl source|twig Twig template|typescript TypeScript source|vba Visual Basic for Applications
    |verilog Verilog source|vhdl VHDL source|vue Vue component|yara YARA rule|zig Zig source|aidl Android interface definition`,
  text: `bib BibTeX references|crt Certificate|csproj .NET project|csv Comma-separated values|diff Difference between files|eml E-mail
    |gitattributes Git attributes|gitmodules Git modules|htaccess Apache configuration|ics Calendar|ignorefile Ignore file|ini INI configuration
    |internetshortcut Internet shortcut|json JSON|jsonl JSON lines|latex LaTeX document|m3u Playlist|markdown Markdown document|mht MHTML page
    |mum Windows update description|pem PEM certificate|po Translations|postscript PostScript document|rdf RDF data|rst reStructuredText document
    |rtf Rich text|sgml SGML document|srt Subtitles|sum Checksums|textproto Protocol Buffers as text|toml TOML configuration|tsv Tab-separated values
    |txt Plain text|vcxproj Visual C++ project|vtt WebVTT subtitles|winregistry Windows registry text|xml XML document|yaml YAML document
    |appleplist Apple property list|randomtxt Random text|proteindb Protein structure`,
  image: `bmp BMP picture|dicom DICOM medical picture|dwg AutoCAD drawing|dxf AutoCAD exchange drawing|emf Windows metafile|gif GIF picture|icns Apple icon
    |ico Windows icon|jp2 JPEG 2000 picture|jpeg JPEG picture|png PNG picture|psd Photoshop picture|svg SVG drawing|tga Targa picture|tiff TIFF picture
    |webp WebP picture|wmf Windows metafile|ai Illustrator drawing|thumbsdb Windows thumbnails|stlbinary Solid model|stltext Solid model as text`,
  audio: `flac FLAC sound|midi MIDI music|mp3 MP3 sound|ogg Ogg sound|wav WAVE sound`,
  video: `3gp 3GPP video|flv Flash video|mkv Matroska video|mp4 MP4 video|qt QuickTime video|webm WebM video`,
  archive: `ace ACE archive|bzip bzip2 archive|cab Cabinet archive|deb Debian package|dmg Apple disk image|gzip gzip archive|iso Disk image
    |jar Java archive|lha LHA archive|mscompress Microsoft compressed file|nupkg NuGet package|rar RAR archive|rpm RPM package|sevenzip 7-Zip archive
    |snap Snap package|squashfs SquashFS image|tar tar archive|torrent Torrent|xar XAR archive|xpi Browser extension|xz XZ archive|zip ZIP archive|zlibstream zlib stream
    |apk Android package|crx Chrome extension|msi Windows installer`,
  document: `chm Compiled help|doc Word document|docx Word document|epub E-book|hlp Windows help|odp OpenDocument slides|ods OpenDocument sheet
    |odt OpenDocument text|one OneNote notes|outlook Outlook message|pdf PDF document|ppt PowerPoint slides|pptx PowerPoint slides|xls Excel sheet
    |xlsb Excel binary sheet|xlsx Excel sheet`,
  executable: `coff COFF object|dex Android bytecode|elf ELF program|javabytecode Java bytecode|lnk Windows shortcut|macho Mach-O program|pebin Windows program
    |pythonbytecode Python bytecode|swf Flash program|wasm WebAssembly module|pdb Debugging symbols`,
  font: `otf OpenType font|ttf TrueType font|woff Web font|woff2 Web font`,
  data: `applebplist Apple binary property list|cat Windows catalogue|dsstore Finder settings|h5 HDF5 data|npy NumPy array|npz NumPy arrays|onnx ONNX model
    |parquet Parquet table|pcap Network capture|pickle Python pickle|pytorch PyTorch model|randombytes Random bytes|sqlite SQLite database|empty Empty file
    |unknown Unknown binary`,
} as const;

/** The group and the name of each label. */
export const kinds: ReadonlyMap<string, { readonly group: string; readonly description: string }> = new Map(
  Object.entries(TABLE).flatMap(([group, kinds]) =>
    kinds.split("|").map((kind) => {
      const [, label = "", description = ""] = /^(\S+) (.+)$/.exec(kind.trim()) ?? [];
      return [label, { group, description }];
    }),
  ),
);
