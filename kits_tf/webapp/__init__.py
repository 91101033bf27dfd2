"""The page on which a scan is dropped, segmented, shown, corrected and measured.

studies      the scans of each user, and the state of each
uploads      files that a browser sends
worker       segmentation, one scan after the other
findings     measurements, places of lesions and confidence of a mask
correction   a mask that a user has changed
downloads    files for a user
routes       requests that a browser may make
service      all of it behind any HTTP server
pages/       HTML, CSS and JavaScript
"""
