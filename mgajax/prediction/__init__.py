"""`mgajax predict`: pictures and volumes in; tables, masks in their own geometry and pages out."""
