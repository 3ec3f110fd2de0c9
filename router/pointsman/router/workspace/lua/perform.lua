-- A claim and its commit in one act, for a task without effects that was done before it was claimed.
-- ARGV: those of commit, and the event of its start
local no = stopped()
if no then return no end
no = not_attempt(ARGV[1], ARGV[2], 'queued')
if no then return told_again(ARGV[1], ARGV[2], ARGV[3]) or no end
post(ARGV[10])
return effective()
