# C source as the checks of the house read it. Not a program: loaded in front of one (awk -f c_text.awk -f ...).
# Set in_comment = 0 where a file begins.

# A line without its comments. Strings and character constants stay when keep is true, else only their quotes do.
function code(s, keep,    out, quote, at) {
    out = ""
    while (s != "") {
        if (in_comment) {
            at = index(s, "*/")
            if (at == 0)
                return out
            s = substr(s, at + 2)
            in_comment = 0
            continue
        }
        if (!match(s, /\/\*|\/\/|["']/))
            return out s
        out = out substr(s, 1, RSTART - 1)
        s = substr(s, RSTART)
        quote = substr(s, 1, 1)
        if (quote == "/") {
            if (substr(s, 2, 1) == "/")
                return out
            in_comment = 1
            s = substr(s, 3)
            out = out " "
            continue
        }
        if (quote == "\"")
            at = match(s, /^"([^"\\]|\\.)*"/)
        else
            at = match(s, /^'([^'\\]|\\.)*'/)
        if (at == 0)
            return out s
        out = out (keep ? substr(s, 1, RLENGTH) : quote quote)
        s = substr(s, RLENGTH + 1)
    }
    return out
}
