"""Extensions: permessage-deflate is the one that there is."""
